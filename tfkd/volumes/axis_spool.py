"""A volume in a temporary file, written along one axis and read along another."""

import math

import numpy as np

from tfkd.volumes.temporary_array import TemporaryArray

__all__ = ["AxisSpool"]

# Of one block, which lies in memory once while it is filled: 32 planes of 512 x 1000 voxels of
# int16. A plane that is larger is a block of its own.
_BLOCK_BYTES = 32 * 2**20


class AxisSpool(TemporaryArray):
    """A 3-D array on disk which turns its axes in bounded memory.

    It is written plane by plane along `write_axis` and then read in slabs along `read_axis`. Blocks
    of planes are stored with the read axis first, so that a slab is one piece of each block.

    Args:
        shape: Of the array.
        dtype: Of its elements.
        write_axis: Axis along which planes are appended.
        read_axis: Axis along which slabs are read; another one.
    """

    def __init__(
        self, shape: tuple[int, int, int], dtype: np.dtype, write_axis: int, read_axis: int
    ) -> None:
        super().__init__()
        self.shape = shape
        self._dtype = np.dtype(dtype)
        self._write_axis, self._read_axis = write_axis, read_axis
        plane_bytes = math.prod(shape) // shape[write_axis] * self._dtype.itemsize
        self._planes = max(1, _BLOCK_BYTES // max(1, plane_bytes))  # of one block
        self._block: np.ndarray | None = None
        self._written = 0

    def append(self, plane: np.ndarray) -> None:
        """Write the next plane: the array's shape without `write_axis`."""
        index = self._written % self._planes
        if self._block is None:
            planes = min(self._planes, self.shape[self._write_axis] - self._written)
            self._block = np.empty(self._stored_shape(planes), self._dtype)
        # Filled in the order of the file, so that no second copy is needed.
        turned = np.moveaxis(self._block, 0, self._read_axis)
        np.moveaxis(turned, self._write_axis, 0)[index] = plane
        self._written += 1
        if self._written % self._planes == 0 or self._written == self.shape[self._write_axis]:
            self._file.write(self._block.data)
            self._block = None

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the slab of the array from `start` to `stop` along `read_axis`.

        Raises:
            ValueError: Not every plane has been written.
        """
        planes = self.shape[self._write_axis]
        if self._written != planes:
            raise ValueError(f"expected {planes} planes to be written, received {self._written}.")
        slab = np.empty(
            tuple(stop - start if a == self._read_axis else n for a, n in enumerate(self.shape)),
            self._dtype,
        )
        along_write = np.moveaxis(slab, self._write_axis, 0)
        for first in range(0, planes, self._planes):
            block = self._read_piece(first, min(first + self._planes, planes), start, stop)
            along_write[first : first + self._planes] = np.moveaxis(block, self._write_axis, 0)
        return slab

    def _stored_shape(self, planes: int) -> tuple[int, ...]:
        """Return the shape of a block of so many planes, with the read axis first."""
        shape = list(self.shape)
        shape[self._write_axis] = planes
        return (shape.pop(self._read_axis), *shape)

    def _read_piece(self, first: int, last: int, start: int, stop: int) -> np.ndarray:
        """Return slab [start, stop) of the block of planes [first, last), with the array's axes."""
        _, *others = self._stored_shape(last - first)
        size_per_plane = int(np.prod(self.shape)) // self.shape[self._write_axis]
        row = math.prod(others)
        self._file.seek((first * size_per_plane + start * row) * self._dtype.itemsize)
        content = self._file.read((stop - start) * row * self._dtype.itemsize)
        piece = np.frombuffer(content, self._dtype)
        return np.moveaxis(piece.reshape(stop - start, *others), 0, self._read_axis)
