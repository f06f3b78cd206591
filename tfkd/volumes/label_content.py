"""Whether a NIfTI file holds labels rather than grey values."""

from pathlib import Path

import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.hu import scaled
from tfkd.volumes.nifti_file import NiftiFile

__all__ = ["holds_labels"]

# No CT has as few whole numbers, and none below 0. Masks of the whole body have about 120.
_FEW = 16
_MOST = 128
_HIGHEST = 255
# Of the labelled voxels, those whose next one has the same label: 0.69 to 0.99 in masks of organs,
# 0.02 to 0.16 in CT, also where its window was cut to 200 HU.
_EVEN = 0.5
_ENOUGH_VOXELS = 1_000_000  # labelled ones, after which nothing new is to be expected
_ROUNDING = 0.01  # labels that were scaled to the numbers of a type, such as 1.0039 for 1
_CHUNK_VOXELS = 1 << 22


def holds_labels(path: Path) -> bool | None:
    """Whether the voxels are labels: few whole numbers from 0 up, alike in neighbouring voxels.

    A CT is known by its first slices, a mask after a million labelled voxels; an empty one is read
    whole.

    Args:
        path: A NIfTI file.

    Returns:
        None where this cannot be told: the file is damaged, absent or not NIfTI, or holds one
        number only and is not of 8 bits.
    """
    try:
        return _look(NiftiFile(path, str(path)))
    except GeometryError:
        return None


def _look(file: NiftiFile) -> bool | None:
    seen = _Seen()
    planes = max(1, _CHUNK_VOXELS // (file.shape[0] * file.shape[1]))
    for slab in file.slabs(planes):
        if not seen.may_be_labels(scaled(slab.ravel(order="F"), file.slope, file.inter)):
            return False
        if seen.labelled > _ENOUGH_VOXELS:
            break
    if seen.labelled:
        return len(seen.values) > 1 or None
    return True if file.dtype.itemsize == 1 else None


class _Seen:
    """What the voxels so far have shown."""

    def __init__(self) -> None:
        self.values: set[int] = set()
        self.labelled = 0
        self._even = 0

    def may_be_labels(self, voxels: np.ndarray) -> bool:
        low, high = voxels.min(), voxels.max()
        if not (low >= -1 and high <= np.iinfo(np.int32).max):  # also true for NaN
            return False
        if low == high == 0:
            self.values.add(0)
            return True
        if voxels.dtype.kind == "f":
            whole = np.rint(voxels)
            if np.abs(whole - voxels).max() > _ROUNDING:
                return False
            voxels = whole.astype(np.int32)
        if voxels.dtype.kind == "b" or voxels.dtype.itemsize > 4:
            voxels = voxels.astype(np.int32)  # as wide as the numbers are by now
        if low >= 0 and high <= _HIGHEST:
            self.values.update(np.flatnonzero(np.bincount(voxels)).tolist())
        else:
            self.values.update(np.unique(voxels).tolist())
        if len(self.values) > _MOST:
            return False
        labelled = voxels[:-1] != 0
        self.labelled += int(np.count_nonzero(labelled))
        self._even += int(np.count_nonzero(labelled & (voxels[:-1] == voxels[1:])))
        few = len(self.values) <= _FEW
        return few or (max(self.values) <= _HIGHEST and self._even > _EVEN * self.labelled)
