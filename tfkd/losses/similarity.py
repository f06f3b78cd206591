"""Similarity preserving distillation (SP): which slices of a batch are alike."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss

__all__ = ["SimilarityPreservingDistillation", "similarity_preserving_loss"]

_EPSILON = 1e-12


def similarity_preserving_loss(
    teacher_features: Any, student_features: Any, labels: Any = None
) -> Any:
    r"""Squared difference of the two networks' tables of similarities between the batch's slices.

    $L = \frac{1}{N^2} \|\hat G_s - \hat G_t\|_F^2$ with $G = F F^\top$, $F$ the features of
    each slice as one row, and each row of $\hat G$ brought to length 1.

    Args:
        teacher_features: Teacher features (N, h, w, c).
        student_features: Student features (N, h', w', c').
        labels: Not used.

    Returns:
        Tensor of shape (N,), float32: each slice's row of the sum, whose mean over the batch is the
        published value. In [0, 4 / N]. It depends on the batch; under a `tf.distribute` strategy
        each replica compares the slices of its own part. A batch of one slice costs 0. Labels play
        no part, so an empty mask changes nothing.

    References:
        Eq. 1 to 4 of Tung and Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019,
        arXiv:1907.09682.
    """
    del labels
    difference = _similarity(student_features) - _similarity(teacher_features)
    return ops.mean(ops.square(difference), axis=-1)


def _similarity(features: Any) -> Any:
    """Similarity of every two slices (N, N), rows of length 1."""
    rows = ops.reshape(ops.cast(features, "float32"), (-1, _size(features)))
    # Brought to mean square 1 first, so that the length of a row stays within float32.
    scale = ops.stop_gradient(ops.sqrt(ops.mean(ops.square(rows)) + _EPSILON))
    rows = rows / scale
    table = ops.matmul(rows, ops.transpose(rows)) / _size(features)
    return table / ops.sqrt(ops.sum(ops.square(table), axis=-1, keepdims=True) + _EPSILON)


def _size(features: Any) -> int:
    height, width, channels = features.shape[1:]
    return height * width * channels


@keras.saving.register_keras_serializable(package="tfkd")
class SimilarityPreservingDistillation(DistillationLoss):
    """Similarity preserving distillation at a pair of layers; see `similarity_preserving_loss`.

    Args:
        teacher_layer_name: Teacher layer.
        student_layer_name: Student layer; the teacher layer's name by default.
        name: Name of the curve; `similarity_<teacher layer>` by default.
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
            name or f"similarity_{teacher_layer_name}",
        )

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return similarity_preserving_loss(teacher, student, labels)
