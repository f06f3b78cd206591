"""Region affinity distillation (RAD): how far apart the network holds the regions."""

from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.labels import one_hot_labels
from tfkd.losses.reduction import replicas_in_sync, sum_over_replicas
from tfkd.losses.sizes import area_average

__all__ = ["RegionAffinityDistillation", "region_affinity_loss"]

Variant = Literal["regions", "paper"]
Centering = Literal["image", "batch", "none"]

# Keeps the norm of a zero vector differentiable.
_EPSILON = 1e-12


def region_affinity_loss(
    teacher_features: Any,
    student_features: Any,
    labels: Any,
    *,
    num_classes: int | None = None,
    variant: Variant = "regions",
    centering: Centering | None = None,
) -> Any:
    r"""Squared difference of the region contrasts of teacher and student.

    $L = \mathrm{mean}_{i<j}\left(\cos(R^s_i, R^s_j) - \cos(R^t_i, R^t_j)\right)^2$

    with $R_k$ the mean of the features over the pixels of region $k$. Each cosine lives in its own
    feature space, so the channel counts and the sizes of teacher and student need not agree. Pixels
    near a boundary are never compared one by one: the student is asked to keep the regions as far
    apart as the teacher does.

    Two variants:

    * `"paper"`: two regions per image, background and everything else; labels resized to the
      features by nearest neighbour; no centring. An image without target, or whose target vanishes
      in the resizing, costs 0; so does one without background.
    * `"regions"`: one region per class, all pairs. Labels are area-averaged to the features, so
      that a small target keeps its share of a pixel instead of vanishing, and features are centred,
      because region means of ReLU features are otherwise nearly parallel in every network.

    Args:
        teacher_features: Teacher features (N, h, w, c).
        student_features: Student features (N, h', w', c').
        labels: One-hot masks (N, H, W, K), or class indices (N, H, W) together with `num_classes`.
        num_classes: K, when the labels are indices. For `"paper"` 2 is enough: see Returns.
        variant: As above.
        centering: What is subtracted from the features of the `"regions"` variant: the mean over
            each image, the mean over the batch, or nothing. An image with only two regions has
            them exactly opposite (cosine −1) once centred by itself, whatever the network, so its
            loss is 0. None takes `"image"` for three classes and more, and `"batch"` for two.

    Returns:
        Tensor of shape (N,), float32, in [0, 4]. Pairs with an absent class are left out; an image
        with fewer than two regions costs 0.

    Raises:
        ValueError: If indices come without `num_classes`, or a setting is unknown.

    Example:
        >>> features = keras.random.normal((2, 4, 4, 5))
        >>> labels = keras.random.randint((2, 16, 16), 0, 3)
        >>> float(keras.ops.max(region_affinity_loss(features, features, labels, num_classes=3)))
        0.0

    Measured in `benchmarks/quality/region_forms`, as the only distillation loss of a short
    training: no form comes above a student without a teacher, and without centring less is lost
    than with it at the same weight.

    References:
        Eq. 5 to 8 of Qin et al., IEEE TMI 40(12), 2021. `"regions"` differs from the paper in its
        many classes, soft masks and centring; the reference code yields NaN without background.
    """
    _check_settings(variant, centering)
    shape = tuple(ops.shape(labels))
    if num_classes is None and (len(shape) != 4 or shape[-1] < 2):
        raise ValueError(
            f"Expected one-hot labels (N, H, W, K), or num_classes. Received labels of {shape}."
        )
    masks = one_hot_labels(labels, num_classes or shape[-1])
    teacher = _region_contrast(teacher_features, masks, variant, centering)
    student = _region_contrast(student_features, masks, variant, centering)
    return _difference(teacher, student)


def _difference(teacher: tuple[Any, Any], student: tuple[Any, Any]) -> Any:
    """Mean squared difference over the pairs that both have, (N,)."""
    pairs = teacher[1] * student[1]
    total = ops.sum(pairs * ops.square(student[0] - teacher[0]), axis=-1)
    return total / ops.maximum(ops.sum(pairs, axis=-1), 1.0)


def _region_contrast(
    features: Any, masks: Any, variant: Variant, centering: Centering | None
) -> tuple[Any, Any]:
    """Cosine of every pair of regions and whether both are present, each (N, pairs)."""
    features = ops.cast(features, "float32")
    height, width = features.shape[1:3]
    if variant == "paper":
        masks = ops.stack([masks[..., 0], ops.sum(masks[..., 1:], axis=-1)], axis=-1)
        return _contrast(features, _resize_nearest(masks, height, width), "none")
    centering = centering or _default_centering(masks.shape[-1])
    return _contrast(features, area_average(masks, height, width), centering)


def _default_centering(num_classes: int) -> Centering:
    return "image" if num_classes > 2 else "batch"


def _contrast(features: Any, masks: Any, centering: str) -> tuple[Any, Any]:
    """Cosine of every pair of regions and whether both are present, each (N, K·(K−1)/2)."""
    area = ops.sum(masks, axis=(1, 2))
    vectors = ops.einsum("nhwk,nhwc->nkc", masks, features)
    vectors = vectors / ops.maximum(area, _EPSILON)[..., None]
    # The mean of the vectors' own pixels: subtracting it afterwards saves a copy of the features.
    if centering != "none":
        axes = (1, 2) if centering == "image" else (0, 1, 2)
        mean = ops.mean(features, axis=axes, keepdims=True)
        if centering == "batch":
            mean = sum_over_replicas(mean) / replicas_in_sync()
        vectors = vectors - ops.squeeze(mean, axis=1)
    norm = ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True) + _EPSILON)
    unit = vectors / norm
    cosine = ops.matmul(unit, ops.swapaxes(unit, 1, 2))
    present = ops.cast(area > 0, "float32")
    both = present[:, :, None] * present[:, None, :]
    classes = masks.shape[-1]
    first, second = np.triu_indices(classes, k=1)
    flat = first * classes + second
    return (
        ops.take(ops.reshape(cosine, (-1, classes**2)), flat, axis=1),
        ops.take(ops.reshape(both, (-1, classes**2)), flat, axis=1),
    )


def _resize_nearest(masks: Any, height: int, width: int) -> Any:
    """Every (H/h)-th pixel, as the reference implementation's nearest neighbour takes it."""
    rows, columns = masks.shape[1:3]
    masks = ops.take(masks, np.arange(height) * rows // height, axis=1)
    return ops.take(masks, np.arange(width) * columns // width, axis=2)


def _check_settings(variant: str, centering: str | None) -> None:
    if variant not in get_args(Variant):
        raise ValueError(
            f"Expected variant to be one of {get_args(Variant)}. Received {variant!r}."
        )
    if centering is not None and centering not in get_args(Centering):
        raise ValueError(
            f"Expected centering None or in {get_args(Centering)}. Received {centering!r}."
        )


@keras.saving.register_keras_serializable(package="tfkd")
class RegionAffinityDistillation(DistillationLoss):
    """Region affinity distillation at one pair of layers; see `region_affinity_loss`.

    Args:
        teacher_layer_name: Teacher layer.
        student_layer_name: Student layer; the teacher layer's name by default.
        variant: `"regions"` or `"paper"`.
        centering: `"image"`, `"batch"`, `"none"`, or None to choose by the number of classes.
        name: Name of the curve; `region_affinity_<teacher layer>` by default.
    """

    def __init__(
        self,
        teacher_layer_name: str = "tap_high",
        student_layer_name: str | None = None,
        variant: Variant = "regions",
        centering: Centering | None = None,
        name: str | None = None,
    ) -> None:
        _check_settings(variant, centering)
        super().__init__(
            teacher_layer_name,
            student_layer_name or teacher_layer_name,
            name or f"region_affinity_{teacher_layer_name}",
        )
        self.variant: Variant = variant
        self.centering: Centering | None = centering

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return region_affinity_loss(
            teacher, student, labels, variant=self.variant, centering=self.centering
        )

    def summarize(self, teacher: Any, labels: Any) -> dict[str, Any]:
        """The teacher's contrast of every pair of regions, and which pairs there are, (N, pairs).

        With `centering="batch"` the contrasts depend on the batch in which they are computed.
        """
        contrast, present = _region_contrast(teacher, labels, self.variant, self.centering)
        return {"contrast": contrast, "present": present}

    def compare(self, summary: dict[str, Any], student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        own = _region_contrast(student, labels, self.variant, self.centering)
        return _difference((summary["contrast"], summary["present"]), own)

    def couples_examples(self, num_classes: int) -> bool:
        """With the mean over the batch as the centre."""
        centering = self.centering or _default_centering(num_classes)
        return self.variant == "regions" and centering == "batch"

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {**super().get_config(), "variant": self.variant, "centering": self.centering}
