"""Overlap distillation: how much the student's regions overlap with the teacher's."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.reduction import sum_over_replicas

__all__ = ["OverlapDistillation", "overlap_loss"]


def overlap_loss(
    teacher_logits: Any,
    student_logits: Any,
    labels: Any = None,
    *,
    temperature: float = 1.0,
    smooth: float = 1.0,
) -> Any:
    r"""Soft Dice loss between the two networks' probabilities.

    $L = \mathrm{mean}_{k \ge 1}\left[1 - \frac{2\sum p^t_k p^s_k + \epsilon}
    {\sum (p^t_k)^2 + \sum (p^s_k)^2 + \epsilon}\right]$

    The sums run over the pixels of the whole batch (of all replicas), class by class, background
    left out, so a small organ weighs as much as a large one. With squares below, the loss is least
    where the probabilities are equal, which a Dice of soft targets without them is not.

    Args:
        teacher_logits: Teacher output (N, H, W, K).
        student_logits: Student output (N, H, W, K).
        labels: Not used.
        temperature: T > 0 of both softmaxes.
        smooth: ε > 0, in pixels.

    Returns:
        Tensor of shape (N,), float32, in [0, 1): the batch's value, the same for every example. A
        class of which neither network sees anything in the batch costs 0. Labels play no part.

    References:
        The Dice with squares: Milletari et al., "V-Net", 3DV 2016. Soft targets in Dice losses, for
        distillation too: Wang et al., "Dice Semimetric Losses", MICCAI 2023, arXiv:2303.16296,
        whose form differs.
    """
    del labels
    return _overlap(_softmax(teacher_logits, temperature), student_logits, temperature, smooth)


def _softmax(logits: Any, temperature: float) -> Any:
    return ops.softmax(ops.cast(logits, "float32") / temperature, axis=-1)


def _overlap(teacher: Any, student_logits: Any, temperature: float, smooth: float) -> Any:
    """The loss from the teacher's probabilities."""
    student = _softmax(student_logits, temperature)
    # One minus the quotient, written as one that sums of many pixels cannot round below zero.
    apart = ops.sum(ops.square(teacher - student), axis=(0, 1, 2))[1:]
    squares = ops.sum(ops.square(teacher) + ops.square(student), axis=(0, 1, 2))[1:]
    apart, squares = sum_over_replicas(apart), sum_over_replicas(squares)
    loss = ops.mean(apart / (squares + smooth))
    return loss * ops.ones_like(student[:, 0, 0, 0])


@keras.saving.register_keras_serializable(package="tfkd")
class OverlapDistillation(DistillationLoss):
    """Overlap distillation between the logits; see `overlap_loss`.

    Args:
        temperature: T > 0.
        smooth: ε > 0, in pixels.
        name: Name of the curve.
    """

    def __init__(
        self, temperature: float = 1.0, smooth: float = 1.0, name: str = "overlap"
    ) -> None:
        if temperature <= 0 or smooth <= 0:
            raise ValueError(
                f"Expected temperature > 0 and smooth > 0. Received {temperature} and {smooth}."
            )
        super().__init__(name=name)
        self.temperature = temperature
        self.smooth = smooth

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return overlap_loss(
            teacher, student, labels, temperature=self.temperature, smooth=self.smooth
        )

    def summarize(self, teacher: Any, labels: Any) -> dict[str, Any]:
        """The teacher's probabilities (N, H, W, K)."""
        del labels
        return {"probability": _softmax(teacher, self.temperature)}

    def compare(self, summary: dict[str, Any], student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        del labels
        return _overlap(summary["probability"], student, self.temperature, self.smooth)

    def couples_examples(self, num_classes: int) -> bool:
        """Its sums run over the batch."""
        del num_classes
        return True

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {"temperature": self.temperature, "smooth": self.smooth, "name": self.name}
