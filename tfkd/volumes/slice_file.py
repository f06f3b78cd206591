"""A stack of slices in a temporary file."""

import numpy as np

from tfkd.volumes.temporary_array import TemporaryArray

__all__ = ["SliceFile"]


class SliceFile(TemporaryArray):
    """A (Z, Y, X) array on disk, of which single slices are read and written.

    It stands in for an array where code takes `array[z]`, `array[z] = slice` and `array.shape`.
    Slices that were never written are 0.

    Args:
        shape: Voxels along (z, y, x).
        dtype: Of the voxels.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: type = np.uint8) -> None:
        super().__init__()
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._bytes = shape[1] * shape[2] * self.dtype.itemsize
        self._file.truncate(shape[0] * self._bytes)

    def __len__(self) -> int:
        """Number of slices."""
        return self.shape[0]

    def __getitem__(self, z: int) -> np.ndarray:
        """Return slice z, (Y, X)."""
        self._seek(z)
        return np.frombuffer(self._file.read(self._bytes), self.dtype).reshape(self.shape[1:])

    def __setitem__(self, z: int, plane: np.ndarray) -> None:
        """Replace slice z, (Y, X)."""
        if plane.shape != self.shape[1:]:
            raise ValueError(f"expected a slice of shape {self.shape[1:]}, received {plane.shape}.")
        self._seek(z)
        self._file.write(np.ascontiguousarray(plane, self.dtype).data)

    def _seek(self, z: int) -> None:
        if not 0 <= z < len(self):
            raise IndexError(f"expected a slice of 0 to {len(self) - 1}, received {z}.")
        self._file.seek(z * self._bytes)
