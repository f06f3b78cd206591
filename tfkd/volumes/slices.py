"""From a volume to the slices that a network sees."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.preprocess import PreprocessSpec, fit_image, fit_mask
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
    if mask is not None and mask.shape != volume.shape:
        raise GeometryError(
            f"Case {volume.case_id!r}: the mask must have the volume's shape {volume.shape} "
            f"(z, y, x). Received {mask.shape}."
        )
    return _generate(volume, mask, spec)


def _generate(volume: Volume, mask: Volume | None, spec: PreprocessSpec) -> Iterator[SliceExample]:
    last = volume.shape[0] - 1
    context = spec.context_slices
    in_plane_mm = volume.spacing_mm[1:]

    # Remembers as many slices as one example shows, so that each is fitted once.
    @functools.lru_cache(maxsize=spec.channels)
    def fitted(z: int) -> np.ndarray:
        return fit_image(volume.array[z], spec, in_plane_mm)

    for index in range(last + 1):
        neighbours = range(index - context, index + context + 1)
        yield SliceExample(
            image_hu=np.stack([fitted(min(max(z, 0), last)) for z in neighbours], axis=-1),
            mask=None if mask is None else fit_mask(mask.array[index], spec, in_plane_mm),
            case_id=volume.case_id,
            slice_index=index,
            spacing_mm=volume.spacing_mm,
        )
