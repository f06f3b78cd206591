"""The control: the overlap loss without a teacher."""

from typing import Any

import keras

from tfkd.losses import DistillationLoss
from tfkd.losses.overlap import _overlap

__all__ = ["LabelOverlap"]


@keras.saving.register_keras_serializable(package="tfkd_studies")
class LabelOverlap(DistillationLoss):
    """Overlap of the student's regions with the labels'.

    It tells what of the gain of `OverlapDistillation` is the teacher's, and what comes of a Dice
    term that merely weighs more.
    """

    def __init__(self, name: str = "label_overlap") -> None:
        super().__init__(name=name)

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return self.compare(self.summarize(teacher, labels), student, labels)

    def summarize(self, teacher: Any, labels: Any) -> dict[str, Any]:
        """Nothing of the teacher, though a teacher cache must have a map to keep."""
        del labels
        return {"nothing": keras.ops.zeros_like(teacher[:, :1, :1, :1])}

    def compare(self, summary: dict[str, Any], student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        del summary
        return _overlap(keras.ops.cast(labels, "float32"), student, 1.0, 1.0)

    def couples_examples(self, num_classes: int) -> bool:
        """Its sums run over the batch."""
        del num_classes
        return True

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {"name": self.name}
