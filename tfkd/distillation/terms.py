"""All distillation losses of a step as one XLA program."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.labels import one_hot_labels

__all__ = ["DistillationTerms"]


class DistillationTerms:
    """The distillation losses, evaluated together.

    One compiled function holds all of them: XLA fuses what they share, such as the one-hot labels,
    and the step makes one call. It has no variables, so that it compiles under every
    `tf.distribute` strategy as well, where compiling the whole step fails.

    Args:
        losses: Distillation losses.
    """

    def __init__(self, losses: Sequence[DistillationLoss]) -> None:
        self._losses = tuple(losses)
        self._compiled = tf.function(self._compute, jit_compile=True)

    def __call__(
        self, teacher: Sequence[Any], student: Sequence[Any], labels: Any, num_classes: int
    ) -> list[Any]:
        """Computes each loss for each example.

        Args:
            teacher: One teacher tensor per loss.
            student: One student tensor per loss.
            labels: Class indices or one-hot masks; see `one_hot_labels`.
            num_classes: Number of classes K.

        Returns:
            One tensor of shape (N,), float32, per loss.
        """
        return self._compiled(list(teacher), list(student), labels, num_classes)

    def _compute(
        self, teacher: list[Any], student: list[Any], labels: Any, num_classes: int
    ) -> list[Any]:
        labels = one_hot_labels(labels, num_classes)
        return [
            loss.compute_loss(
                ops.stop_gradient(ops.cast(teacher_tensor, "float32")),
                ops.cast(student_tensor, "float32"),
                labels,
            )
            for loss, teacher_tensor, student_tensor in zip(
                self._losses, teacher, student, strict=True
            )
        ]
