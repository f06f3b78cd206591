"""A volume in a temporary file, written along one axis and read along another."""

import tempfile
from types import TracebackType
from typing import Self

import numpy as np

__all__ = ["AxisSpool"]

# Planes of one block. A block is what lies in memory: 32 of 512 x 1000 voxels of int16 are 33 MB.
_PLANES = 32


class AxisSpool:
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
        self.shape = shape
        self._dtype = np.dtype(dtype)
        self._write_axis, self._read_axis = write_axis, read_axis
        self._pending: list[np.ndarray] = []
        self._written = 0
        # The system removes the file with the handle.
        self._file = tempfile.TemporaryFile(prefix="tfkd-")  # noqa: SIM115

    def __enter__(self) -> Self:
        """Return the spool, whose file is removed after the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the file."""
        self._file.close()

    def append(self, plane: np.ndarray) -> None:
        """Write the next plane: the array's shape without `write_axis`."""
        self._pending.append(plane)
        if len(self._pending) == _PLANES or self._written + 1 == self.shape[self._write_axis]:
            block = np.stack(self._pending, axis=self._write_axis).astype(self._dtype, copy=False)
            self._file.write(np.ascontiguousarray(np.moveaxis(block, self._read_axis, 0)).data)
            self._pending.clear()
        self._written += 1

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
        for first in range(0, planes, _PLANES):
            block = self._read_piece(first, min(first + _PLANES, planes), start, stop)
            along_write[first : first + _PLANES] = np.moveaxis(block, self._write_axis, 0)
        return slab

    def _read_piece(self, first: int, last: int, start: int, stop: int) -> np.ndarray:
        """Return slab [start, stop) of the block of planes [first, last), with the array's axes."""
        shape = list(self.shape)
        shape[self._write_axis] = last - first
        size_per_plane = int(np.prod(self.shape)) // self.shape[self._write_axis]
        row = int(np.prod(shape)) // shape[self._read_axis]
        self._file.seek((first * size_per_plane + start * row) * self._dtype.itemsize)
        content = self._file.read((stop - start) * row * self._dtype.itemsize)
        piece = np.frombuffer(content, self._dtype)
        shape.pop(self._read_axis)
        return np.moveaxis(piece.reshape(stop - start, *shape), 0, self._read_axis)
