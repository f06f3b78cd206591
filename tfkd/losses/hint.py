"""FitNets hints: the student's features themselves, brought to the teacher's channels."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.sizes import match_size

__all__ = ["HintDistillation", "hint_loss"]


def hint_loss(teacher_features: Any, student_features: Any, labels: Any = None) -> Any:
    r"""Mean squared difference of the features: $L = \mathrm{mean}_{x,c} (F_s - F_t)^2$.

    Args:
        teacher_features: Teacher features (N, h, w, c).
        student_features: Student features (N, h', w', c), of as many channels; `HintDistillation`
            brings them there. Resized bilinearly to the teacher's size where they differ.
        labels: Not used.

    Returns:
        Tensor of shape (N,), float32, ≥ 0. Labels play no part, so an empty mask changes nothing.

    References:
        Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, arXiv:1412.6550.
    """
    del labels
    teacher = ops.cast(teacher_features, "float32")
    student = match_size(ops.cast(student_features, "float32"), *teacher.shape[1:3])
    return ops.mean(ops.square(student - teacher), axis=(1, 2, 3))


@keras.saving.register_keras_serializable(package="tfkd")
class HintDistillation(DistillationLoss):
    """FitNets hint at one pair of layers; see `hint_loss`.

    The Distiller puts a 1×1 convolution behind the student's layer, the published regressor, which
    is trained with the student and is no part of it.

    Args:
        teacher_layer_name: Teacher layer, the hint.
        student_layer_name: Student layer, the guided one; the teacher layer's name by default.
        name: Name of the curve; `hint_<teacher layer>` by default.
    """

    def __init__(
        self,
        teacher_layer_name: str = "tap_high",
        student_layer_name: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            teacher_layer_name,
            student_layer_name or teacher_layer_name,
            name or f"hint_{teacher_layer_name}",
        )

    def adapter(self, teacher_channels: int, student_channels: int) -> keras.layers.Layer:
        """A 1×1 convolution to the teacher's channels."""
        del student_channels
        return keras.layers.Conv2D(
            teacher_channels, 1, dtype="float32", name=f"{self.name}_adapter"
        )

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return hint_loss(teacher, student, labels)
