"""From a volume to the slices that a network sees."""

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.preprocess import PreprocessSpec, fit_image, fit_mask
from tfkd.volumes.volume import Volume

__all__ = ["SliceExample", "context_windows", "iter_slices"]


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


def context_windows(slices: Iterable[np.ndarray], context: int) -> Iterator[np.ndarray]:
    """Yield each slice with its neighbours as channels, (H, W, 2 · context + 1).

    Neighbours beyond the first or last slice repeat that slice. No more slices are kept than one
    window shows.

    Args:
        slices: (H, W) slices of one size, in order.
        context: Neighbours on each side.
    """
    shown: deque[np.ndarray] = deque(maxlen=2 * context + 1)
    for plane in _ends_repeated(slices, context):
        shown.append(plane)
        if len(shown) == shown.maxlen:
            yield np.stack(shown, axis=-1)


def _generate(volume: Volume, mask: Volume | None, spec: PreprocessSpec) -> Iterator[SliceExample]:
    in_plane_mm = volume.spacing_mm[1:]
    fitted = (fit_image(plane, spec, in_plane_mm) for plane in volume.array)
    for index, image_hu in enumerate(context_windows(fitted, spec.context_slices)):
        yield SliceExample(
            image_hu=image_hu,
            mask=None if mask is None else fit_mask(mask.array[index], spec, in_plane_mm),
            case_id=volume.case_id,
            slice_index=index,
            spacing_mm=volume.spacing_mm,
        )


def _ends_repeated(slices: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
    last = None
    for plane in slices:
        if last is None:
            yield from itertools.repeat(plane, times)
        yield plane
        last = plane
    if last is not None:
        yield from itertools.repeat(last, times)
