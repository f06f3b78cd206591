"""From a volume to the slices that a network sees."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from tfkd.volumes.preprocess import PreprocessSpec
from tfkd.volumes.volume import Volume

__all__ = ["SliceExample", "iter_slices"]


@dataclasses.dataclass(frozen=True, eq=False)
class SliceExample:
    """One fitted slice, not yet windowed.

    Attributes:
        image_hu: (H, W, C) int16; the slice and its neighbours from lower to higher z.
        mask: (H, W) uint8 labels of the middle slice, or None for an unlabelled volume.
        case_id: The volume's case.
        slice_index: Position of the middle slice along the volume's z axis.
        spacing_mm: Native voxel spacing along (z, y, x).
    """

    image_hu: np.ndarray
    mask: np.ndarray | None
    case_id: str
    slice_index: int
    spacing_mm: tuple[float, float, float]


def iter_slices(
    volume: Volume, mask: Volume | None, spec: PreprocessSpec
) -> Iterator[SliceExample]:
    """Yield every slice of a volume in order of z, fitted to `spec`.

    Neighbours beyond the first or last slice repeat that slice. Each slice is fitted once.

    Args:
        volume: The CT.
        mask: Its labels, of the same shape, or None.
        spec: How to fit the slices.

    Raises:
        GeometryError: The mask's shape is not the volume's.
    """
    raise NotImplementedError
