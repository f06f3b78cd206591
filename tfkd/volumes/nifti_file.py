"""The numbers in a NIfTI file, read to the checksum behind them."""

import gzip
import math
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.nifti_fields import (
    HEADER_BYTES,
    checked_header,
    scaling,
    three_axes,
    voxel_offset,
)

__all__ = ["NiftiFile"]

_UNREADABLE = (OSError, EOFError, ValueError, zlib.error)
_GZIP_MAGIC = b"\x1f\x8b"
# The most that deflate makes of a byte (zlib.net, "maximum compression factor", 1032 : 1).
_LARGEST_GAIN = 1032
_CHUNK_BYTES = 2**24


class NiftiFile:
    """A NIfTI file, its header read and its voxels not yet.

    Voxels are only given when the file is as long as its header says and, where it is compressed,
    when its checksum agrees: one bit that is wrong otherwise gives other voxels in silence. No more
    memory is taken than a file of that size can hold, whatever its header says.

    Args:
        path: A `.nii` or `.nii.gz` file, or one of a pair of `.hdr` and `.img`.
        where: Words for messages: case and file.

    Attributes:
        header: The header's fields, as `checked_header` gives them.
        stored_shape: Size of the array on disk, further axes of length 1 included.
        shape: Its three axes.
        slope: What a stored number is multiplied by.
        inter: What is added then.

    Raises:
        GeometryError: The file is missing, is no NIfTI file, is shorter or longer than its header
            says, or a field of the header holds what it cannot.
    """

    def __init__(self, path: Path, where: str) -> None:
        self._where = where
        header_path, voxel_path = _parts(path)
        with _opened(header_path, where) as file:
            try:
                start = file.read(HEADER_BYTES)
            except _UNREADABLE as error:
                raise GeometryError(
                    f"{where}: expected a NIfTI file, but it cannot be read ({error})."
                ) from error
        self.header = checked_header(start, where)
        in_one_file = self.header["magic"].item().startswith(b"n+")
        if not in_one_file and voxel_path == header_path:
            raise GeometryError(
                f"{where}: expected the voxels behind the header. Received a header alone, of a "
                "pair of .hdr and .img; give both, under those names."
            )
        self._path = header_path if in_one_file else voxel_path
        self.stored_shape = tuple(int(n) for n in self.header.get_data_shape())
        self.shape = three_axes(self.stored_shape, where)
        self.dtype = np.dtype(self.header.get_data_dtype())
        if self.dtype.kind not in "iufb":
            raise GeometryError(
                f"{where}: expected one number a voxel. Received {self.dtype}, the header's "
                f"datatype {int(self.header['datatype'])}; convert the file to int16."
            )
        self.slope, self.inter = scaling(self.header, where)
        self._offset = voxel_offset(self.header, in_one_file, where)
        self._bytes = math.prod(self.shape) * self.dtype.itemsize
        self._check_size()

    @property
    def nifti_version(self) -> int:
        """1 or 2."""
        return 2 if self.header.sizeof_hdr == HEADER_BYTES else 1

    def slabs(self, planes: int) -> Iterator[np.ndarray]:
        """Yield the stored numbers in slabs along the last axis.

        The last slab comes when the file has been read to its end and found whole.

        Args:
            planes: Size of a slab along that axis; the last may be smaller.

        Raises:
            GeometryError: The file is damaged.
        """
        width, height, depth = self.shape
        with _opened(self._path, self._where) as file:
            self._skip(file, self._offset)
            for first in range(0, depth, planes):
                shape = (width, height, min(planes, depth - first))
                slab = self._read(file, math.prod(shape))
                if first + planes >= depth:
                    self._check_end(file)
                yield slab.reshape(shape, order="F")

    def _read(self, file: IO[bytes], count: int) -> np.ndarray:
        try:
            content = np.empty(count * self.dtype.itemsize, np.uint8)
        except MemoryError as error:
            raise GeometryError(
                f"{self._where}: expected memory for a volume of shape {self.shape}. Received too "
                f"little for {count * self.dtype.itemsize / 2**30:.1f} GiB."
            ) from error
        rest = content.data
        try:
            while rest:
                got = file.readinto(rest[:_CHUNK_BYTES])  # type: ignore[attr-defined]
                if not got:
                    raise EOFError(f"expected {len(rest)} more bytes, received 0")
                rest = rest[got:]
        except _UNREADABLE as error:
            raise self._damaged(error) from error
        return content.view(self.dtype)

    def _skip(self, file: IO[bytes], count: int) -> None:
        try:
            while count:
                got = len(file.read(min(count, _CHUNK_BYTES)))
                if not got:
                    raise EOFError(f"expected {count} more bytes, received 0")
                count -= got
        except _UNREADABLE as error:
            raise self._damaged(error) from error

    def _check_end(self, file: IO[bytes]) -> None:
        try:
            more = file.read(1)  # of a compressed file this reads and compares the checksum
        except _UNREADABLE as error:
            raise self._damaged(error) from error
        if more:
            raise self._of_another_size("more")

    def _check_size(self) -> None:
        size = self._path.stat().st_size
        expected = self._offset + self._bytes
        with _opened(self._path, self._where) as file:
            compressed = isinstance(file, gzip.GzipFile)
        if not compressed and size > expected:
            raise self._of_another_size(f"{size - self._offset}")
        if size * (_LARGEST_GAIN if compressed else 1) < expected:
            raise self._damaged(EOFError(f"expected {expected} bytes, received fewer"))

    def _damaged(self, error: BaseException) -> GeometryError:
        return GeometryError(
            f"{self._where}: the file is damaged or cut short ({error}). Fetch or export it again."
        )

    def _of_another_size(self, received: str) -> GeometryError:
        return GeometryError(
            f"{self._where}: expected {self._bytes} bytes of voxels, as the header's dim "
            f"{self.stored_shape} and datatype {self.dtype.name} say. Received {received}: the "
            "header is wrong, or something was added. Fetch or export the file again."
        )


def _parts(path: Path) -> tuple[Path, Path]:
    """Files of the header and of the voxels, which are two in a pair."""
    for gz in ("", ".gz"):
        for suffix in (".hdr", ".img"):
            if path.name.endswith(suffix + gz):
                stem = path.name.removesuffix(suffix + gz)
                return path.with_name(f"{stem}.hdr{gz}"), path.with_name(f"{stem}.img{gz}")
    return path, path


def _opened(path: Path, where: str) -> IO[bytes]:
    """Open a file, which is uncompressed while it is read where it starts as a gzip file does."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            what = "a folder" if stat.S_ISDIR(mode) else "something else, such as a pipe"
            raise GeometryError(f"{where}: expected a file. Received {what}.")
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        link = ", but a link to one that is not there" if os.path.islink(path) else ""
        raise GeometryError(
            f"{where}: there is no such file{link}. Correct the path, or fetch the file."
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GeometryError(
            f"{where}: expected a file that can be read. Received an error: {reason}."
        ) from error
    start = file.read(2)
    file.seek(0)
    if start != _GZIP_MAGIC:
        return file
    return cast(IO[bytes], _OwningGzip(file))


class _OwningGzip(gzip.GzipFile):
    """A compressed file that closes the file below it as well."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._below = file

    def close(self) -> None:
        super().close()
        self._below.close()
