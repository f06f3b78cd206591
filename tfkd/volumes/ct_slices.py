"""A CT that is read slice by slice and never lies in memory whole."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from tfkd.volumes.grid import Grid
from tfkd.volumes.volume import FileGeometry, Volume

__all__ = ["CTSlices", "VolumeSlices"]


class CTSlices(Grid, ABC):
    """The axial slices of one CT in the canonical frame, in the order in which they are stored.

    Attributes:
        case_id: Name of the case.
        shape: Voxels along (z, y, x).
        affine: (4, 4) canonical index (x, y, z, 1) -> RAS+ mm, as of a `Volume`.
        origin: Layout of the file, or None for one that is not NIfTI.
        descending: Whether the slices come from the uppermost down.
    """

    case_id: str
    shape: tuple[int, int, int]
    origin: FileGeometry | None
    descending: bool

    @abstractmethod
    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield each slice, (Y, X) int16 HU; a second iteration reads the CT anew.

        Raises:
            GeometryError: The file is damaged, or holds something that is not HU.
        """

    def __len__(self) -> int:
        """Number of slices."""
        return self.shape[0]

    @property
    def slice_indices(self) -> range:
        """Positions along z in the order of the iteration."""
        return range(len(self))[:: -1 if self.descending else 1]


class VolumeSlices(CTSlices):
    """The slices of a volume in memory.

    Args:
        volume: The CT.
    """

    def __init__(self, volume: Volume) -> None:
        self._array = volume.array
        self.case_id = volume.case_id
        self.shape = volume.shape
        self.affine = volume.affine
        self.origin = volume.origin
        self.descending = False

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield each slice, (Y, X) int16 HU."""
        yield from self._array
