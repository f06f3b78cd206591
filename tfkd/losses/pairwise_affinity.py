"""Pairwise affinity (SKD): how alike the network finds every two places of the image."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.sizes import area_average

__all__ = ["PairwiseAffinityDistillation", "pairwise_affinity_loss"]

_EPSILON = 1e-12


def pairwise_affinity_loss(
    teacher_features: Any, student_features: Any, labels: Any = None, *, nodes: int = 16
) -> Any:
    r"""Mean squared difference of the cosines of every two places.

    $L = \mathrm{mean}_{i,j} (a^s_{ij} - a^t_{ij})^2$ with $a_{ij} = \cos(f_i, f_j)$

    The places $f_i$ are averages of the features over a grid of patches, so teacher and student may
    differ in size and in channels.

    Args:
        teacher_features: Teacher features (N, h, w, c).
        student_features: Student features (N, h', w', c').
        labels: Not used.
        nodes: Most patches along each axis; fewer where a feature has fewer pixels.

    Returns:
        Tensor of shape (N,), float32, in [0, 4]. Labels play no part, so an empty mask changes
        nothing.

    References:
        Eq. 2 and 3 of Liu et al., "Structured Knowledge Distillation for Semantic Segmentation",
        CVPR 2019, arXiv:1903.04197, with patches averaged as there.
    """
    del labels
    height, width = (
        min(nodes, *sizes)
        for sizes in zip(teacher_features.shape[1:3], student_features.shape[1:3], strict=True)
    )
    difference = _affinity(student_features, height, width) - _affinity(
        teacher_features, height, width
    )
    return ops.mean(ops.square(difference), axis=(1, 2))


def _affinity(features: Any, height: int, width: int) -> Any:
    """Cosine of every two patches (N, height·width, height·width)."""
    patches = area_average(ops.cast(features, "float32"), height, width)
    patches = ops.reshape(patches, (-1, height * width, features.shape[-1]))
    length = ops.sqrt(ops.sum(ops.square(patches), axis=-1, keepdims=True) + _EPSILON)
    unit = patches / length
    return ops.matmul(unit, ops.swapaxes(unit, 1, 2))


@keras.saving.register_keras_serializable(package="tfkd")
class PairwiseAffinityDistillation(DistillationLoss):
    """Pairwise affinity distillation at one pair of layers; see `pairwise_affinity_loss`.

    Args:
        teacher_layer_name: Teacher layer.
        student_layer_name: Student layer; the teacher layer's name by default.
        nodes: Most patches along each axis.
        name: Name of the curve; `pairwise_<teacher layer>` by default.
    """

    def __init__(
        self,
        teacher_layer_name: str = "tap_high",
        student_layer_name: str | None = None,
        nodes: int = 16,
        name: str | None = None,
    ) -> None:
        if nodes < 2:
            raise ValueError(f"Expected nodes >= 2. Received {nodes}.")
        super().__init__(
            teacher_layer_name,
            student_layer_name or teacher_layer_name,
            name or f"pairwise_{teacher_layer_name}",
        )
        self.nodes = nodes

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return pairwise_affinity_loss(teacher, student, labels, nodes=self.nodes)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {**super().get_config(), "nodes": self.nodes}
