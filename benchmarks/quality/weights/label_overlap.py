"""The control: the overlap loss without a teacher."""

from typing import Any

import keras
from keras import ops

from tfkd.losses import DistillationLoss

__all__ = ["LabelOverlap"]


@keras.saving.register_keras_serializable(package="tfkd_studies")
class LabelOverlap(DistillationLoss):
    """Overlap of the student's regions with the labels'.

    It tells what of the gain of `OverlapDistillation` is the teacher's, and what comes of a Dice
    term that merely weighs more.

    Args:
        squares: Whether probabilities are squared below the fraction, as `OverlapDistillation` has
            it, or not, as `FocalDice`.
        name: Name of the curve.
    """

    def __init__(self, squares: bool = True, name: str = "label_overlap") -> None:
        super().__init__(name=name)
        self.squares = squares

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return self.compare(self.summarize(teacher, labels), student, labels)

    def summarize(self, teacher: Any, labels: Any) -> dict[str, Any]:
        """Nothing of the teacher, though a teacher cache must have a map to keep."""
        del labels
        return {"nothing": ops.zeros_like(teacher[:, :1, :1, :1])}

    def compare(self, summary: dict[str, Any], student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        del summary
        truth = ops.cast(labels, "float32")
        found = ops.softmax(ops.cast(student, "float32"), axis=-1)
        common = ops.sum(truth * found, axis=(0, 1, 2))[1:]
        sizes = truth + (ops.square(found) if self.squares else found)
        sizes = ops.sum(sizes, axis=(0, 1, 2))[1:]
        loss = ops.mean(1.0 - (2.0 * common + 1.0) / (sizes + 1.0))
        return loss * ops.ones_like(found[:, 0, 0, 0])

    def couples_examples(self, num_classes: int) -> bool:
        """Its sums run over the batch."""
        del num_classes
        return True

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {"squares": self.squares, "name": self.name}
