"""Attention transfer (AT): the published form of comparing where two networks look."""

from typing import Any

import keras

from tfkd.losses.importance_map import ImportanceMapDistillation, importance_map_loss

__all__ = ["AttentionTransfer", "attention_transfer_loss"]


def attention_transfer_loss(
    teacher_features: Any, student_features: Any, labels: Any = None, *, power: float = 2.0
) -> Any:
    r"""Mean squared difference of the normalised attention maps.

    $L = \mathrm{mean}_x (\hat a_s - \hat a_t)^2$ with $\hat a = a / \|a\|_2$ per image and
    $a = \mathrm{vec}(\mathrm{mean}_c |F_c|^p)$

    The same maps as `importance_map_loss`, averaged over the positions instead of summed, as the
    authors' code does it and as their weight of 1000 is meant.

    Args:
        teacher_features: Teacher features (N, h, w, c).
        student_features: Student features (N, h', w', c').
        labels: Not used.
        power: Exponent p ≥ 1; 2 as published.

    Returns:
        Tensor of shape (N,), float32, in [0, 2 / (h·w)]. Labels play no part, so an empty mask
        changes nothing.

    References:
        Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017, arXiv:1612.03928.
    """
    height, width = teacher_features.shape[1:3]
    distance = importance_map_loss(teacher_features, student_features, labels, power=power)
    return distance / (height * width)


@keras.saving.register_keras_serializable(package="tfkd")
class AttentionTransfer(ImportanceMapDistillation):
    """Attention transfer at one pair of layers; see `attention_transfer_loss`.

    Args:
        teacher_layer_name: Teacher layer.
        student_layer_name: Student layer; the teacher layer's name by default.
        power: Exponent p ≥ 1.
        name: Name of the curve; `attention_<teacher layer>` by default.
    """

    def __init__(
        self,
        teacher_layer_name: str = "tap_high",
        student_layer_name: str | None = None,
        power: float = 2.0,
        name: str | None = None,
    ) -> None:
        super().__init__(
            teacher_layer_name, student_layer_name, power, name or f"attention_{teacher_layer_name}"
        )

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return attention_transfer_loss(teacher, student, labels, power=self.power)

    def compare(self, summary: dict[str, Any], student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        height, width = summary["map"].shape[1:3]
        return super().compare(summary, student, labels) / (height * width)
