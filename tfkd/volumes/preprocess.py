"""`PreprocessSpec`, and the one place where its geometry and intensity rules are carried out."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from PIL import Image
from PIL.Image import Resampling

__all__ = ["AIR_HU", "PreprocessSpec", "fit_image", "fit_mask", "unfit_scores", "window"]

# Nothing in a body is thinner than air; scanners write lower values only outside their field of
# view. Fitted slices hold no lower value, which also lets records keep HU + 1024 as unsigned.
AIR_HU = -1024


@dataclasses.dataclass(frozen=True)
class PreprocessSpec:
    """How a CT slice becomes a network's input; fixed once and carried along to the edge.

    Attributes:
        window_hu: Lowest and highest Hounsfield unit that the network tells apart.
        output_range: What `window_hu` is mapped to.
        size: (H, W) of the network's input.
        fit: `"resize"` scales the whole field of view to `size`; `"center"` keeps the pixel size
            (or resamples to `spacing_mm`) and crops, or pads with air, around the centre.
        spacing_mm: Pixel size for `fit="center"`; None keeps the scan's own.
        field_size: (H, W) that `fit="center"` resamples the whole field of view to before it crops,
            instead of `spacing_mm`; None does not.
        context_slices: Neighbouring slices given as extra channels, on each side.

    Raises:
        ValueError: A value is out of range; the message names the key.
    """

    window_hu: tuple[float, float] = (-60.0, 140.0)
    output_range: tuple[float, float] = (-1.0, 1.0)
    size: tuple[int, int] = (256, 256)
    fit: Literal["resize", "center"] = "resize"
    spacing_mm: float | None = None
    context_slices: int = 0
    field_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for key in ("window_hu", "output_range"):
            object.__setattr__(self, key, _rising_pair(key, getattr(self, key)))
        object.__setattr__(self, "size", _size("size", self.size))
        if self.fit not in ("resize", "center"):
            raise ValueError(f'`fit` must be "resize" or "center". Received: {self.fit!r}.')
        if self.spacing_mm is not None:
            if self.fit != "center":
                raise ValueError('`spacing_mm` has a meaning only with `fit="center"`.')
            if not _is_number(self.spacing_mm) or self.spacing_mm <= 0:
                raise ValueError(
                    f"`spacing_mm` must be a positive number of mm. Received: {self.spacing_mm!r}."
                )
            object.__setattr__(self, "spacing_mm", float(self.spacing_mm))
        if self.field_size is not None:
            if self.fit != "center" or self.spacing_mm is not None:
                raise ValueError(
                    '`field_size` has a meaning only with `fit="center"` and without `spacing_mm`.'
                )
            object.__setattr__(self, "field_size", _size("field_size", self.field_size))
        if not _is_integer(self.context_slices) or self.context_slices < 0:
            raise ValueError(
                f"`context_slices` must be an integer of 0 or more. "
                f"Received: {self.context_slices!r}."
            )

    @property
    def channels(self) -> int:
        """Channels of the input: the slice and its neighbours."""
        return 2 * self.context_slices + 1

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one input, for `input_shape=` of a network."""
        return (*self.size, self.channels)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON values (tuples become lists).

        `field_size` is there only if it is set, so that specs of before it existed stay the same.
        """
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
            if key != "field_size" or value is not None
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PreprocessSpec":
        """Make a spec of what `to_dict` gave; absent keys take their defaults.

        Raises:
            ValueError: A key is unknown, or its value has the wrong type or range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"Unknown key {key!r} in a PreprocessSpec. Known: {known}.")
        return cls(**values)


def fit_image(
    image_hu: np.ndarray, spec: PreprocessSpec, spacing_mm_yx: tuple[float, float]
) -> np.ndarray:
    """Bring a native CT slice to the size of the network's input.

    Resampling is linear, with a triangle filter as wide as the new pixel when shrinking; pixel
    areas (not pixel centres) of the two grids coincide at the border. Values below `AIR_HU` are
    raised to it first, so that a scanner's padding does not bleed into the skin.

    Args:
        image_hu: (Y, X) Hounsfield units.
        spec: What to do.
        spacing_mm_yx: Pixel size of the slice.

    Returns:
        (H, W) int16, in whole HU of at least `AIR_HU`; padding is `AIR_HU`.
    """
    image_hu = np.maximum(image_hu, AIR_HU)
    shape = _resampled_shape(image_hu.shape, spec, spacing_mm_yx)
    if shape != image_hu.shape:
        image_hu = np.rint(_resize(image_hu.astype(np.float32), shape, Resampling.BILINEAR))
    return _place(image_hu.astype(np.int16, copy=False), spec.size, _start(shape, spec), AIR_HU)


def fit_mask(
    mask: np.ndarray, spec: PreprocessSpec, spacing_mm_yx: tuple[float, float]
) -> np.ndarray:
    """Bring a native label slice to the grid of `fit_image`.

    A pixel takes the label that covers most of it; of equal ones the highest, so that a lesion of
    few pixels is not lost to the organ around it, nor an organ to the background. (Taking the label
    nearest to the pixel's centre would shift the mask by half a native pixel against the image
    whenever the size is halved.) An empty mask stays empty; what covers less than half a new pixel
    vanishes. `IGNORE_LABEL` is a label like any other here, and wins a tie: no class is made up.

    Args:
        mask: (Y, X) uint8 labels.
        spec: What to do.
        spacing_mm_yx: Pixel size of the slice.

    Returns:
        (H, W) uint8; no label occurs that `mask` does not hold (padding is background, 0).

    Raises:
        ValueError: The mask is not uint8.
    """
    if mask.dtype != np.uint8:
        raise ValueError(f"`mask` must be uint8. Received: {mask.dtype}.")
    shape = _resampled_shape(mask.shape, spec, spacing_mm_yx)
    return _place(_resize_labels(mask, shape), spec.size, _start(shape, spec), 0)


def unfit_scores(
    scores: np.ndarray,
    spec: PreprocessSpec,
    native_shape_yx: tuple[int, int],
    spacing_mm_yx: tuple[float, float],
) -> np.ndarray:
    """Bring class scores of a fitted slice back to the native grid.

    Args:
        scores: (H, W, K) logits or probabilities; class 0 is background.
        spec: What `fit_image` was given.
        native_shape_yx: (Y, X) of the native slice.
        spacing_mm_yx: Its pixel size.

    Returns:
        (Y, X, K) float32, linearly interpolated on the grid of `fit_image`; `scores` itself where
        the grids are one. Outside of a centre crop the background has the slice's highest score
        and the other classes its lowest, so that `argmax` gives 0 there.

    Raises:
        ValueError: The scores are not of `spec.size`.
    """
    if scores.ndim != 3 or scores.shape[:2] != spec.size:
        raise ValueError(
            f"`scores` must have the shape (H, W, K) with (H, W) = {spec.size}. "
            f"Received: {scores.shape}."
        )
    native_shape_yx = (native_shape_yx[0], native_shape_yx[1])
    scores = scores.astype(np.float32, copy=False)
    shape = _resampled_shape(native_shape_yx, spec, spacing_mm_yx)
    if shape != spec.size:
        outside = np.full(scores.shape[-1], scores.min())
        outside[0] = scores.max()
        y, x = _start(shape, spec)
        scores = _place(scores, shape, (-y, -x), outside)
    if shape == native_shape_yx:
        return scores
    # Class by class into one block: half the time of stacking K separate arrays.
    native = np.empty((scores.shape[-1], *native_shape_yx), np.float32)
    for k, plane in enumerate(native):
        plane[...] = _resize(scores[..., k], native_shape_yx, Resampling.BILINEAR)
    return np.moveaxis(native, 0, -1)


def window(image_hu: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """Clip to `spec.window_hu` and map that linearly to `spec.output_range`.

    (clip(hu, low, high) - low) * scale + bottom, with scale = (top - bottom) / (high - low), every
    one of these numbers rounded to float32 first and the operations done in this order.

    Args:
        image_hu: Hounsfield units, any shape.
        spec: The window and the range.

    Returns:
        float32 of the same shape.
    """
    low, high = (np.float32(hu) for hu in spec.window_hu)
    bottom, top = spec.output_range
    scale = np.float32((top - bottom) / (spec.window_hu[1] - spec.window_hu[0]))
    return (np.clip(image_hu.astype(np.float32), low, high) - low) * scale + np.float32(bottom)


def _resampled_shape(
    native_shape_yx: tuple[int, ...], spec: PreprocessSpec, spacing_mm_yx: tuple[float, float]
) -> tuple[int, int]:
    """Return the size of the whole native slice once resampled, before a centre crop."""
    y, x = native_shape_yx
    if spec.fit == "resize":
        return spec.size
    if spec.field_size is not None:
        return spec.field_size
    if spec.spacing_mm is None:
        return y, x
    return (
        max(1, round(y * spacing_mm_yx[0] / spec.spacing_mm)),
        max(1, round(x * spacing_mm_yx[1] / spec.spacing_mm)),
    )


def _start(resampled_shape: tuple[int, int], spec: PreprocessSpec) -> tuple[int, int]:
    """Return where in the resampled slice the fitted one begins; negative where it is padded."""
    return (
        (resampled_shape[0] - spec.size[0]) // 2,
        (resampled_shape[1] - spec.size[1]) // 2,
    )


def _place(
    source: np.ndarray, shape: tuple[int, int], start: tuple[int, int], fill: int | np.ndarray
) -> np.ndarray:
    """Return `target` of size `shape` with target[i, j] = source[i + start, j + start]."""
    if shape == source.shape[:2]:
        return source
    target = np.empty((*shape, *source.shape[2:]), source.dtype)
    target[...] = fill
    inside, taken = [], []
    for size, length, first in zip(shape, source.shape, start, strict=False):
        low, high = max(0, -first), min(size, length - first)
        inside.append(slice(low, high))
        taken.append(slice(low + first, high + first))
    target[tuple(inside)] = source[tuple(taken)]
    return target


def _resize(image: np.ndarray, shape: tuple[int, int], filter_: Resampling) -> np.ndarray:
    # Pillow, because its grids meet at the pixels' borders, it widens the filter when shrinking,
    # and it takes a quarter of the time of `scipy.ndimage.zoom`.
    resized = Image.fromarray(image).resize((shape[1], shape[0]), filter_)
    return np.asarray(resized)


def _resize_labels(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if shape == mask.shape:
        return mask
    labels = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).astype(np.uint8)
    # The small bonus, rising with the label, only settles ties.
    coverage = [
        _resize((mask == label).astype(np.float32), shape, Resampling.BOX) + 1e-5 * rank
        for rank, label in enumerate(labels)
    ]
    return labels[np.argmax(coverage, axis=0)]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _rising_pair(key: str, value: Any) -> tuple[float, float]:
    if (
        not isinstance(value, (tuple, list))
        or len(value) != 2
        or not all(_is_number(v) for v in value)
        or not value[0] < value[1]
    ):
        raise ValueError(f"`{key}` must be two numbers, the lower one first. Received: {value!r}.")
    return float(value[0]), float(value[1])


def _size(key: str, value: Any) -> tuple[int, int]:
    if (
        not isinstance(value, (tuple, list))
        or len(value) != 2
        or not all(_is_integer(v) and v > 0 for v in value)
    ):
        raise ValueError(f"`{key}` must be two positive integers (H, W). Received: {value!r}.")
    return value[0], value[1]
