"""What the Distiller expects of a distillation loss."""

from abc import ABC, abstractmethod
from typing import Any

__all__ = ["DistillationLoss"]


class DistillationLoss(ABC):
    """Compares a tensor of the teacher with one of the student, under the labels.

    Subclasses are thin: they hold settings and call a pure function of this package. They have no
    variables, so that the Distiller can compile all of them into one XLA program.

    Args:
        teacher_layer_name: Teacher layer whose output is compared; None for the logits.
        student_layer_name: Student layer whose output is compared; None for the logits.
        name: Name of the curve in the training history. It must be unique within a Distiller.
    """

    def __init__(
        self,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
        name: str = "distillation",
    ) -> None:
        self.teacher_layer_name = teacher_layer_name
        self.student_layer_name = student_layer_name
        self.name = name

    @abstractmethod
    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """Returns one value per example.

        Args:
            teacher: The teacher's tensor, (N, h, w, c), float32; no gradient flows into it.
            student: The student's tensor, (N, h', w', c'), float32.
            labels: One-hot labels (N, H, W, K), float32.

        Returns:
            Tensor of shape (N,), finite for every input, classes that are absent included.
        """

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {
            "teacher_layer_name": self.teacher_layer_name,
            "student_layer_name": self.student_layer_name,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DistillationLoss":
        """Rebuilds the loss from `get_config`."""
        return cls(**config)
