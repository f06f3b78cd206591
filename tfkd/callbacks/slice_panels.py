"""A slice and masks over it, side by side as one picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor
from skimage.segmentation import find_boundaries

from tfkd.report.palette import label_color
from tfkd.volumes import IGNORE_LABEL

__all__ = ["slice_panels"]

_SMALLEST_SIDE = 256
_GAP = 4


def slice_panels(grey_yx: NDArray[Any], masks_yx: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """Draws the slice alone, and once for each mask with the outlines of its classes.

    Args:
        grey_yx: Grey values from 0 to 1, (Y, X).
        masks_yx: Labels, (Y, X) each. An empty mask gives a panel without outlines.

    Returns:
        Colour picture, (height, width, 3). A small slice is enlarged, so that an outline hides
        little of it. The colours are those of the report.
    """
    scale = max(1, -(-_SMALLEST_SIDE // max(grey_yx.shape)))
    grey = np.clip(_enlarged(grey_yx, scale) * 255, 0, 255).round().astype(np.uint8)
    plain = np.stack([grey] * 3, axis=-1)
    gap = np.zeros((len(plain), _GAP, 3), np.uint8)
    panels = [plain]
    for mask in masks_yx:
        panels += [gap, _outlined(plain, _enlarged(mask, scale))]
    return np.concatenate(panels, axis=1)


def _enlarged(array: NDArray[Any], scale: int) -> NDArray[Any]:
    return np.repeat(np.repeat(array, scale, axis=0), scale, axis=1)


def _outlined(picture: NDArray[np.uint8], mask: NDArray[Any]) -> NDArray[np.uint8]:
    drawn = picture.copy()
    for label in np.unique(mask[(mask > 0) & (mask != IGNORE_LABEL)]):
        edge = find_boundaries(mask == label, mode="inner")
        drawn[edge] = ImageColor.getrgb(label_color(int(label)))
    return drawn
