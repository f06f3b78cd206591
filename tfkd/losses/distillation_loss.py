"""What the Distiller expects of a distillation loss."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["DistillationLoss"]


class DistillationLoss(ABC):
    """Compares a tensor of the teacher with one of the student, under the labels.

    Subclasses are thin: they hold settings and call a pure function of this package. They have no
    variables, so that the Distiller can compile all of them into one XLA program.

    A loss may work in two halves, `summarize` on the teacher's side and `compare` on the student's.
    The summary is what a teacher cache keeps of the teacher, so a loss that compares a map of one
    channel need not store a feature of 2048. A subclass that has `compute_loss` alone is cached
    with the teacher's whole tensor.

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

    def summarize(self, teacher: Any, labels: Any) -> dict[str, Any]:
        """Returns what the loss compares of the teacher: named tensors, one row per example.

        A tensor (N, h, w, c) is a map, which a teacher cache moves along when the slice is
        augmented; one of lower rank is a fact about the slice, and stays as it is.

        Args:
            teacher: The teacher's tensor (N, h, w, c), float32.
            labels: One-hot labels (N, H, W, K), float32.
        """
        del labels
        return {"tensor": teacher}

    def compare(self, summary: dict[str, Any], student: Any, labels: Any) -> Any:
        """Returns one value per example (N,), from what `summarize` has returned.

        Args:
            summary: The teacher's summary, float32.
            student: The student's tensor (N, h', w', c'), float32.
            labels: One-hot labels (N, H, W, K), float32.
        """
        return self.compute_loss(summary["tensor"], student, labels)

    def adapter(self, teacher_channels: int, student_channels: int) -> "keras.layers.Layer | None":
        """A layer for the student's tensor, if the loss needs it to have the teacher's channels.

        The Distiller makes it once, trains it with the student and keeps it out of the student;
        the loss then sees the layer's output instead of the student's tensor.

        Args:
            teacher_channels: c of the teacher's tensor.
            student_channels: c' of the student's.

        Returns:
            A new layer (N, h', w', c') → (N, h', w', c), or None to compare the tensor as it is.
        """
        del teacher_channels, student_channels
        return None

    def couples_examples(self, num_classes: int) -> bool:
        """Whether an example's value depends on the others of the global batch.

        Such a loss has to gather what it needs of them (`sum_over_replicas`), for which it is
        computed outside of XLA under a `tf.distribute` strategy.
        """
        del num_classes
        return False

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
