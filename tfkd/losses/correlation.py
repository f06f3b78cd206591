"""DIST: the student's probabilities need only be correlated with the teacher's."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss

__all__ = ["CorrelationDistillation", "correlation_loss"]

_EPSILON = 1e-8


def correlation_loss(
    teacher_logits: Any,
    student_logits: Any,
    labels: Any = None,
    *,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    temperature: float = 1.0,
) -> Any:
    r"""One minus the Pearson correlation of the probabilities, between and within the classes.

    $L = \beta\,T^2 (1 - \mathrm{mean}_x\,\rho(p_s(x), p_t(x)))
       + \gamma\,T^2 (1 - \mathrm{mean}_k\,\rho(p_s^k, p_t^k))$

    The first correlation runs over the classes of a pixel, the second over the pixels of a class.
    A student whose probabilities are a scaled and shifted copy of the teacher's costs 0, which
    leaves a small one more freedom than a divergence does.

    Args:
        teacher_logits: Teacher output (N, H, W, K).
        student_logits: Student output (N, H, W, K).
        labels: Not used.
        inter_weight: β, of the correlation between the classes.
        intra_weight: γ, of the correlation within each class. Taken over the pixels of a slice,
            where the published code has those of the batch.
        temperature: T > 0.

    Returns:
        Tensor of shape (N,), float32, in [0, 2 T² (β + γ)]. Labels play no part, so an empty mask
        changes nothing; a class without any contrast in the slice counts as uncorrelated.

    References:
        Eq. 9 to 11 of Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022,
        arXiv:2205.10536.
    """
    del labels
    teacher = ops.softmax(ops.cast(teacher_logits, "float32") / temperature, axis=-1)
    student = ops.softmax(ops.cast(student_logits, "float32") / temperature, axis=-1)
    inter = 1.0 - ops.mean(_correlation(teacher, student, axis=-1), axis=(1, 2))
    intra = 1.0 - ops.mean(_correlation(teacher, student, axis=(1, 2)), axis=-1)
    return temperature**2 * (inter_weight * inter + intra_weight * intra)


def _correlation(first: Any, second: Any, axis: Any) -> Any:
    first = first - ops.mean(first, axis=axis, keepdims=True)
    second = second - ops.mean(second, axis=axis, keepdims=True)
    # ε inside of the root, so that the gradient of a constant is finite.
    squares = ops.mean(ops.square(first), axis=axis) * ops.mean(ops.square(second), axis=axis)
    return ops.mean(first * second, axis=axis) / ops.sqrt(squares + _EPSILON**2)


@keras.saving.register_keras_serializable(package="tfkd")
class CorrelationDistillation(DistillationLoss):
    """DIST between the logits; see `correlation_loss`.

    Args:
        inter_weight: β, of the correlation between the classes of a pixel.
        intra_weight: γ, of the correlation within each class.
        temperature: T > 0.
        name: Name of the curve.
    """

    def __init__(
        self,
        inter_weight: float = 1.0,
        intra_weight: float = 1.0,
        temperature: float = 1.0,
        name: str = "correlation",
    ) -> None:
        if temperature <= 0:
            raise ValueError(f"Expected temperature > 0. Received {temperature}.")
        super().__init__(name=name)
        self.inter_weight = inter_weight
        self.intra_weight = intra_weight
        self.temperature = temperature

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return correlation_loss(
            teacher,
            student,
            labels,
            inter_weight=self.inter_weight,
            intra_weight=self.intra_weight,
            temperature=self.temperature,
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {
            "inter_weight": self.inter_weight,
            "intra_weight": self.intra_weight,
            "temperature": self.temperature,
            "name": self.name,
        }
