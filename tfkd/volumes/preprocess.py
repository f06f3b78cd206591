"""`PreprocessSpec`, and the one place where its geometry and intensity rules are carried out."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

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

    def __post_init__(self) -> None:
        for key in ("window_hu", "output_range"):
            object.__setattr__(self, key, _rising_pair(key, getattr(self, key)))
        object.__setattr__(self, "size", _size(self.size))
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
        """Return the attributes as JSON values (tuples become lists)."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
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

    Args:
        image_hu: (Y, X) Hounsfield units.
        spec: What to do.
        spacing_mm_yx: Pixel size of the slice.

    Returns:
        (H, W) int16, in whole HU of at least `AIR_HU`.
    """
    raise NotImplementedError


def fit_mask(
    mask: np.ndarray, spec: PreprocessSpec, spacing_mm_yx: tuple[float, float]
) -> np.ndarray:
    """Bring a native label slice to the grid of `fit_image`.

    Args:
        mask: (Y, X) integer labels.
        spec: What to do.
        spacing_mm_yx: Pixel size of the slice.

    Returns:
        (H, W) uint8; no label occurs that `mask` does not hold (padding is background, 0).
    """
    raise NotImplementedError


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
        (Y, X, K) float32, linearly interpolated. Outside of a centre crop the background wins.
    """
    raise NotImplementedError


def window(image_hu: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """Clip to `spec.window_hu` and map that linearly to `spec.output_range`.

    (clip(hu, low, high) - low) * scale + bottom, with scale = (top - bottom) / (high - low), every
    number rounded to float32 first and the operations done in this order.

    Args:
        image_hu: Hounsfield units, any shape.
        spec: The window and the range.

    Returns:
        float32 of the same shape.
    """
    low, high = np.float32(spec.window_hu)
    bottom, top = spec.output_range
    scale = np.float32((top - bottom) / (spec.window_hu[1] - spec.window_hu[0]))
    return (np.clip(np.float32(image_hu), low, high) - low) * scale + np.float32(bottom)


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


def _size(value: Any) -> tuple[int, int]:
    if (
        not isinstance(value, (tuple, list))
        or len(value) != 2
        or not all(_is_integer(v) and v > 0 for v in value)
    ):
        raise ValueError(f"`size` must be two positive integers (H, W). Received: {value!r}.")
    return value[0], value[1]
