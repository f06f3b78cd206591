"""Regions of a mask as SVG paths in millimetres."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours

__all__ = ["Outline", "outlines_of"]

_TOLERANCE_PIXELS = 0.2


@dataclass(frozen=True)
class Outline:
    """Region of one class on one slice.

    Attributes:
        label: class index.
        path: SVG path data in mm, origin at the slice's upper left corner, to be filled even-odd.
    """

    label: int
    path: str


def outlines_of(
    mask_yx: NDArray[np.integer], spacing_mm_yx: tuple[float, float]
) -> tuple[Outline, ...]:
    """Traces every foreground class of a slice.

    Args:
        mask_yx: labels, (Y, X).
        spacing_mm_yx: pixel size, mm.

    Returns:
        One outline for each class present; none for an empty mask.
    """
    outlines = []
    for label in np.unique(mask_yx[mask_yx > 0]):
        # A frame of background closes the outline of what touches the border.
        region = np.pad(mask_yx == label, 1).astype(np.float32)
        contours = (
            approximate_polygon(contour, _TOLERANCE_PIXELS)
            for contour in find_contours(region, 0.5)
        )
        # Index i of the padded array is centred at (i - 1 + 0.5) pixels from the slice's corner.
        pieces = [_piece((contour - 0.5) * spacing_mm_yx) for contour in contours]
        outlines.append(Outline(int(label), "".join(pieces)))
    return tuple(outlines)


def _piece(points_mm_yx: NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in points_mm_yx[:-1]) + "Z"
