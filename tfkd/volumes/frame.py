"""The one frame that everything in `tfkd` uses, and the axes of a file."""

import functools
from dataclasses import dataclass

import numpy as np
from nibabel import orientations

__all__ = ["CanonicalFrame"]


@dataclass(frozen=True, eq=False)
class CanonicalFrame:
    """How the axes of a file become (z, y, x) of `Volume`, and back.

    Attributes:
        file_shape: Voxels along the three axes on disk.
        file_affine: (4, 4) voxel index on disk -> RAS+ mm.
    """

    file_shape: tuple[int, int, int]
    file_affine: np.ndarray

    @functools.cached_property
    def _to_canonical(self) -> np.ndarray:
        """(3, 2) by file axis: canonical axis (x, y, z), and 1 or -1 for a mirrored one."""
        return orientations.ornt_transform(
            orientations.io_orientation(self.file_affine), orientations.axcodes2ornt("LPS")
        )

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) canonical index (x, y, z, 1) -> RAS+ mm."""
        return self.file_affine @ orientations.inv_ornt_aff(self._to_canonical, self.file_shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (z, y, x)."""
        x, y, z = (self.file_shape[self._file_axis(axis)] for axis in range(3))
        return z, y, x

    @property
    def slice_axis(self) -> int:
        """Axis on disk along which the axial slices lie."""
        return self._file_axis(2)

    @property
    def descending(self) -> bool:
        """Whether the first slice on disk is the uppermost."""
        return bool(self._to_canonical[self.slice_axis, 1] < 0)

    def from_file(self, voxels: np.ndarray) -> np.ndarray:
        """Return voxels on the file's axes, a whole volume or some slices, as (z, y, x)."""
        return orientations.apply_orientation(voxels, self._to_canonical).transpose(2, 1, 0)

    def to_file(self, array: np.ndarray) -> np.ndarray:
        """Return a (z, y, x) array, a whole volume or some slices, on the file's axes."""
        back = orientations.ornt_transform(
            orientations.axcodes2ornt("LPS"), orientations.io_orientation(self.file_affine)
        )
        return orientations.apply_orientation(array.transpose(2, 1, 0), back)

    def _file_axis(self, canonical_axis: int) -> int:
        return int(np.flatnonzero(self._to_canonical[:, 0] == canonical_axis)[0])
