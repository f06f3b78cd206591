"""Forms of the region loss that the study tries; what has not helped lives here and only here."""

from typing import Any, Literal

from keras import ops

from tfkd.losses import DistillationLoss
from tfkd.losses.divergence import softmax_divergence
from tfkd.losses.region_affinity import _resize_nearest
from tfkd.losses.sizes import area_average

__all__ = ["ClassTemperature", "RegionVariant"]

_EPSILON = 1e-12


class RegionVariant(DistillationLoss):
    """Region affinity with one switch for every idea.

    Args:
        teacher_layer_name: Teacher layer.
        student_layer_name: Student layer; the teacher's name by default.
        masks: `"area"` for soft masks, `"nearest"` for hard ones.
        centering: What is subtracted: the mean over the image, over the batch, or nothing.
        pairs: `"all"` pairs of regions, or `"background"` against each, as the paper has it.
        ring: Width in pixels of a ring around each foreground region, each a region more; 0 for
            none.
        size_power: Pairs are weighed by (pixels of the smaller region) to minus this power.
    """

    def __init__(
        self,
        teacher_layer_name: str = "tap_high",
        student_layer_name: str | None = None,
        masks: Literal["area", "nearest"] = "area",
        centering: Literal["image", "batch", "none"] = "image",
        pairs: Literal["all", "background"] = "all",
        ring: int = 0,
        size_power: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(
            teacher_layer_name,
            student_layer_name or teacher_layer_name,
            name or f"region_{teacher_layer_name}",
        )
        self.masks = masks
        self.centering = centering
        self.pairs = pairs
        self.ring = ring
        self.size_power = size_power

    def couples_examples(self, num_classes: int) -> bool:
        """The study runs on one device."""
        del num_classes
        return False

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        regions = self._regions(labels)
        areas = ops.sum(regions, axis=(1, 2))
        contrast_t, present_t = self._contrast(teacher, regions)
        contrast_s, present_s = self._contrast(student, regions)
        weight = self._pair_weights(present_t * present_s, areas)
        difference = ops.square(contrast_t - contrast_s)
        # Every region's mean over its partners, then the mean over the image's regions.
        rows = ops.sum(weight * difference, axis=-1) / ops.maximum(ops.sum(weight, axis=-1), 1e-9)
        has_pair = ops.cast(ops.sum(weight, axis=-1) > 0, "float32")
        return ops.sum(rows * has_pair, axis=-1) / ops.maximum(ops.sum(has_pair, axis=-1), 1.0)

    def _regions(self, labels: Any) -> Any:
        if not self.ring:
            return labels
        foreground = labels[..., 1:]
        wide = ops.max_pool(foreground, 2 * self.ring + 1, 1, "same")
        return ops.concatenate([labels, ops.maximum(wide - foreground, 0.0)], axis=-1)

    def _contrast(self, features: Any, regions: Any) -> tuple[Any, Any]:
        """Cosines (N, K, K), and which regions a feature of this size holds (N, K)."""
        features = ops.cast(features, "float32")
        resize = area_average if self.masks == "area" else _resize_nearest
        masks = resize(regions, *features.shape[1:3])
        area = ops.sum(masks, axis=(1, 2))
        vectors = ops.einsum("nhwk,nhwc->nkc", masks, features)
        vectors = vectors / ops.maximum(area, 1e-6)[..., None]
        if self.centering != "none":
            axes = (1, 2) if self.centering == "image" else (0, 1, 2)
            vectors = vectors - ops.squeeze(ops.mean(features, axis=axes, keepdims=True), axis=1)
        length = ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True) + _EPSILON)
        unit = vectors / length
        present = ops.cast(area > 0, "float32")
        return ops.matmul(unit, ops.swapaxes(unit, 1, 2)), present

    def _pair_weights(self, present: Any, areas: Any) -> Any:
        """Weight of each region's pairs (N, K, K)."""
        count = present.shape[-1]
        both = present[:, :, None] * present[:, None, :] * (1.0 - ops.eye(count))
        if self.pairs == "background":
            first = ops.one_hot(0, count)
            both = both * ops.maximum(first[:, None], first[None, :])
        smaller = ops.minimum(areas[:, :, None], areas[:, None, :])
        return both * ops.maximum(smaller, 1.0) ** -self.size_power

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {
            **super().get_config(),
            "masks": self.masks,
            "centering": self.centering,
            "pairs": self.pairs,
            "ring": self.ring,
            "size_power": self.size_power,
        }


class ClassTemperature(DistillationLoss):
    """Prediction map distillation, balanced over the regions, with a temperature for each kind.

    Args:
        background: Temperature at the pixels of the background.
        foreground: Temperature at all others.
    """

    def __init__(
        self, background: float = 4.0, foreground: float = 2.0, name: str = "class_temperature"
    ) -> None:
        super().__init__(name=name)
        self.background = background
        self.foreground = foreground

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        temperature = ops.where(labels[..., :1] > 0.5, self.background, self.foreground)
        teacher, student = teacher / temperature, student / temperature
        divergence = softmax_divergence(teacher, student, axis=-1)
        divergence = ops.square(temperature[..., 0]) * divergence
        area = ops.sum(labels, axis=(1, 2))
        per_region = ops.einsum("nhw,nhwk->nk", divergence, labels) / ops.maximum(area, 1.0)
        regions = ops.sum(ops.cast(area > 0, "float32"), axis=-1)
        return ops.sum(per_region, axis=-1) / ops.maximum(regions, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {"background": self.background, "foreground": self.foreground, "name": self.name}
