"""Largest component and hole filling, for masks that need not lie in memory."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tfkd.inference.components import find_components
from tfkd.inference.postprocessing import Postprocessing

__all__ = ["SliceStack", "clean_mask"]


class SliceStack(Protocol):
    """(Z, Y, X) labels of which slices are read and replaced: an array, or a `SliceFile`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along (z, y, x)."""

    def __getitem__(self, z: int, /) -> np.ndarray:
        """Return slice z."""

    def __setitem__(self, z: int, plane: np.ndarray, /) -> None:
        """Replace slice z."""


def clean_mask(
    mask: SliceStack, label_names: Sequence[str], postprocessing: Postprocessing
) -> None:
    """Carry out a contract's post-processing on the mask of a whole volume, in place.

    First, label by label in the order of their values, all but the largest component of a label
    becomes background. Then, in the same order, the holes of a label become the label: background
    that the label encloses in all three dimensions. What else lies inside, such as a tumour,
    stays; what reaches a face of the volume is no hole. Voxels are connected through their faces.
    Of components of one size the lowest stays. A label that is not there is left alone.

    Memory is that of a few slices, and of a few numbers for each component of each slice.

    Args:
        mask: uint8 labels.
        label_names: index = label value; the first is the background.
        postprocessing: what to do.

    Raises:
        ContractError: a label to clean is unknown.
    """
    postprocessing.check_labels(label_names)
    for label, name in enumerate(label_names):
        if name in postprocessing.largest_component:
            _keep_largest(mask, label)
    for label, name in enumerate(label_names):
        if name in postprocessing.fill_holes:
            _fill_holes(mask, label)


_Box = tuple[range, slice, slice]


def _keep_largest(mask: SliceStack, label: int) -> None:
    box = _box_around(mask, label)
    if box is None:
        return
    slices, *window = box
    found = find_components(mask[z][*window] == label for z in slices)
    others = np.arange(len(found.sizes)) != found.sizes.argmax()
    if not others.any():
        return
    for index, z in enumerate(slices):
        plane = mask[z].copy()
        part = plane[*window]
        part[found.select(index, part == label, others)] = 0
        mask[z] = plane


def _fill_holes(mask: SliceStack, label: int) -> None:
    box = _box_around(mask, label)
    if box is None:
        return
    # Beyond the box nothing has the label, and all is connected: what reaches its faces is no hole.
    slices, *window = box
    found = find_components(mask[z][*window] != label for z in slices)
    enclosed = ~found.touches_border
    if not enclosed.any():
        return
    for index, z in enumerate(slices):
        plane = mask[z].copy()
        part = plane[*window]
        part[found.select(index, part != label, enclosed) & (part == 0)] = label
        mask[z] = plane


def _box_around(mask: SliceStack, label: int) -> _Box | None:
    """Return the slices, rows and columns that hold a label, or None if none does."""
    depth, height, width = mask.shape
    rows, columns = np.zeros(height, bool), np.zeros(width, bool)
    slices = []
    for z in range(depth):
        region = mask[z] == label
        of_rows = region.any(axis=1)
        if of_rows.any():
            slices.append(z)
            rows |= of_rows
            columns |= region.any(axis=0)
    if not slices:
        return None
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    return (
        range(slices[0], slices[-1] + 1),
        slice(int(y[0]), int(y[-1]) + 1),
        slice(int(x[0]), int(x[-1]) + 1),
    )
