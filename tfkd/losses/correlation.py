"""DIST: the student's probabilities need only be correlated with the teacher's."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss

__all__ = ["CorrelationDistillation", "correlation_loss"]

# Against the standard deviations of both, multiplied: pixels without contrast, and classes that are
# hardly there, fall silent instead of being blown up to noise of full size.
_EPSILON = 1e-3


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
        inter_weight: β, of the correlation between the classes; without effect for two classes,
            whose correlation is ±1 whatever the probabilities.
        intra_weight: γ, of the correlation within each class. Taken over the pixels of a slice,
            where the published code has those of the batch.
        temperature: T > 0.

    Returns:
        Tensor of shape (N,), float32, in [0, 2 T² (β + γ)]. Labels play no part, so an empty mask
        changes nothing; a pixel or class without contrast counts as uncorrelated, without gradient.

    References:
        Eq. 9 to 11 of Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022,
        arXiv:2205.10536.
    """
    del labels
    teacher = ops.softmax(ops.cast(teacher_logits, "float32") / temperature, axis=-1)
    student = ops.softmax(ops.cast(student_logits, "float32") / temperature, axis=-1)
    loss = intra_weight * (1.0 - ops.mean(_correlation(teacher, student, axis=(1, 2)), axis=-1))
    if teacher.shape[-1] > 2:
        inter = ops.mean(_correlation(teacher, student, axis=-1), axis=(1, 2))
        loss += inter_weight * (1.0 - inter)
    return temperature**2 * loss


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
