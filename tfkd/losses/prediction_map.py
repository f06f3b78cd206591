"""Prediction map distillation (PMD): pixel by pixel, the student's softened classes."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.divergence import softmax_divergence
from tfkd.losses.labels import one_hot_labels

__all__ = ["PredictionMapDistillation", "prediction_map_loss"]


def prediction_map_loss(
    teacher_logits: Any,
    student_logits: Any,
    labels: Any = None,
    *,
    temperature: float = 4.0,
    balanced: bool = False,
) -> Any:
    r"""Kullback-Leibler divergence of the softened class maps, averaged over the pixels.

    $L = T^2\,\mathrm{mean}_x\,\mathrm{KL}(\sigma(z_t / T) \,\|\, \sigma(z_s / T))$

    $\sigma$ is the softmax. The factor $T^2$ keeps the gradient's size
    independent of the temperature. Adding a constant to
    all logits of a pixel changes nothing; equal logits cost 0.

    Args:
        teacher_logits: Teacher output $z_t$ (N, H, W, K).
        student_logits: Student output $z_s$ (N, H, W, K).
        labels: One-hot masks (N, H, W, K) or class indices (N, H, W); used by `balanced` alone.
        temperature: T > 0.
        balanced: Average over the pixels of each labelled region first, then over the regions that
            the image has, so that a small tumour weighs as much as the background around it. The
            paper's mean over all pixels is the default.

    Returns:
        Tensor of shape (N,), float32, ≥ 0. An absent class is left out of the balanced mean; the
        plain one does not look at labels.

    Example:
        >>> logits = keras.random.normal((2, 4, 4, 3))
        >>> float(keras.ops.max(prediction_map_loss(logits, logits)))
        0.0

    References:
        Eq. 2 of Qin et al., IEEE TMI 40(12), 2021, after Hinton et al., 2015.
    """
    teacher = ops.cast(teacher_logits, "float32") / temperature
    student = ops.cast(student_logits, "float32") / temperature
    divergence = softmax_divergence(teacher, student, axis=-1)
    if not balanced:
        return temperature**2 * ops.mean(divergence, axis=(1, 2))
    masks = one_hot_labels(labels, student_logits.shape[-1])
    area = ops.sum(masks, axis=(1, 2))
    per_region = ops.einsum("nhw,nhwk->nk", divergence, masks) / ops.maximum(area, 1.0)
    regions = ops.sum(ops.cast(area > 0, "float32"), axis=-1)
    return temperature**2 * ops.sum(per_region, axis=-1) / ops.maximum(regions, 1.0)


@keras.saving.register_keras_serializable(package="tfkd")
class PredictionMapDistillation(DistillationLoss):
    """Prediction map distillation between the logits; see `prediction_map_loss`.

    Args:
        temperature: T > 0; 4 in the reference implementation.
        balanced: Whether every region of the image weighs the same, whatever its size.
        name: Name of the curve.
    """

    def __init__(
        self, temperature: float = 4.0, balanced: bool = False, name: str = "prediction_map"
    ) -> None:
        if temperature <= 0:
            raise ValueError(f"Expected temperature > 0. Received {temperature}.")
        super().__init__(name=name)
        self.temperature = temperature
        self.balanced = balanced

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return prediction_map_loss(
            teacher, student, labels, temperature=self.temperature, balanced=self.balanced
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {"temperature": self.temperature, "balanced": self.balanced, "name": self.name}
