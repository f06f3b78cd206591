"""NIfTI files slice by slice: a CT in, a mask out, whatever the size."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.openers import ImageOpener

from tfkd.volumes.axis_spool import AxisSpool
from tfkd.volumes.ct_slices import CTSlices
from tfkd.volumes.files import atomic_path
from tfkd.volumes.frame import CanonicalFrame
from tfkd.volumes.hu import scaled, to_hu
from tfkd.volumes.nifti_fields import three_axes
from tfkd.volumes.nifti_file import NiftiFile
from tfkd.volumes.nifti_header import case_id_of, file_geometry, image_like, new_image

__all__ = ["NiftiSlices", "writing_slices"]

# Slices that are read at once: 8 MB of 512 x 512 int16.
_SLAB = 16


class NiftiSlices(CTSlices):
    """The axial slices of a CT in a NIfTI file, with the numbers that `read_volume` gives.

    Where the slices lie along the file's last axis, as in most, they come straight from the
    (compressed) file. Otherwise every slice is scattered over the file, which then is first turned
    in a temporary file as large as its voxels, in the folder that `TMPDIR` names.

    Args:
        path: As for `read_volume`.
        case_id: As for `read_volume`.
        identity_affine: As for `read_volume`.

    Raises:
        GeometryError: As `read_volume`; a wrong checksum and wrong voxels are noticed when
            iterating, the checksum before the last slices.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        case_id: str | None = None,
        identity_affine: str | None = None,
    ) -> None:
        path = Path(path)
        self.case_id = case_id_of(path) if case_id is None else case_id
        self._where = f"Case {self.case_id!r}, file {path}"
        self._file = NiftiFile(path, self._where)
        self.origin = file_geometry(self._file, identity_affine, self._where)
        self._frame = CanonicalFrame(self._file.shape, self.origin.affine)
        self.shape = self._frame.shape
        self.affine = self._frame.affine
        self.descending = self._frame.descending

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield each slice, (Y, X) int16 HU."""
        file = self._file
        if self._frame.slice_axis == 2:
            yield from self._canonical(file.slabs(_SLAB))
            return
        with AxisSpool(file.shape, file.dtype, 2, self._frame.slice_axis) as spool:
            for slab in file.slabs(_SLAB):
                for index in range(slab.shape[2]):
                    spool.append(slab[..., index])
            starts = range(0, len(self), _SLAB)
            yield from self._canonical(spool.read(s, min(s + _SLAB, len(self))) for s in starts)

    def _canonical(self, slabs: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for slab in slabs:
            hu = to_hu(scaled(slab, self._file.slope, self._file.inter), self._where)
            slices = self._frame.from_file(hu)
            yield from slices[::-1] if self.descending else slices


@contextlib.contextmanager
def writing_slices(
    path: str | os.PathLike[str],
    like: CTSlices,
    dtype: type = np.uint8,
    slope: float = 1.0,
) -> Iterator[Callable[[np.ndarray], None]]:
    """Give a function that writes a NIfTI file slice by slice, in the layout of a CT.

    The file is what `write_volume` writes of the whole, and appears when the block has succeeded,
    whole or not at all. Slices that do not lie along the file's last axis are turned in a
    temporary file.

    Args:
        path: File to write, ending in `.nii` or `.nii.gz`.
        like: The CT; its slices are to be written in the order of its iteration.
        dtype: Stored type.
        slope: What a stored number is worth.

    Yields:
        Function that takes the next (Y, X) slice, of stored numbers.

    Raises:
        ValueError: The path has another suffix, or not as many slices were written as the CT has.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"`path` must end in .nii or .nii.gz. Received: {path}.")
    written = 0
    with atomic_path(path) as temporary, ImageOpener(str(temporary), "wb") as file:
        frame = _write_header(file, like, np.dtype(dtype), slope)
        with contextlib.ExitStack() as stack:
            spool = None
            if frame.slice_axis != 2:
                spool = stack.enter_context(
                    AxisSpool(frame.file_shape, np.dtype(dtype), frame.slice_axis, 2)
                )

            def write(plane: np.ndarray) -> None:
                nonlocal written
                on_file = frame.to_file(plane[None])
                written += 1
                if spool is None:
                    file.write(on_file.astype(dtype, copy=False).tobytes(order="F"))
                else:
                    spool.append(on_file.take(0, axis=frame.slice_axis))

            yield write
            if written != len(like):
                raise ValueError(
                    f"Case {like.case_id!r}: expected {len(like)} slices, received {written}."
                )
            if spool is not None:
                for first in range(0, frame.file_shape[2], _SLAB):
                    slab = spool.read(first, min(first + _SLAB, frame.file_shape[2]))
                    file.write(slab.tobytes(order="F"))


def _write_header(file: Any, like: CTSlices, dtype: np.dtype, slope: float) -> CanonicalFrame:
    """Write all that comes before the voxels, and return their layout."""
    if like.origin is None:
        shape_xyz = (like.shape[2], like.shape[1], like.shape[0])
        affine = like.affine
        if like.descending:  # so that the slices lie in the order in which they come
            affine = affine @ [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, len(like) - 1], [0, 0, 0, 1]]
        frame = CanonicalFrame(shape_xyz, affine)
        image = new_image(_hollow(shape_xyz, dtype), affine)
    else:
        shape = three_axes(like.origin.shape, f"Case {like.case_id!r}")
        frame = CanonicalFrame(shape, like.origin.affine)
        image = image_like(like.origin, _hollow(shape, dtype))
    image.update_header()
    header = image.header
    header.set_slope_inter(slope, 0.0)
    header.write_to(file)
    file.write(b"\0" * (header.get_data_offset() - file.tell()))
    return frame


def _hollow(shape: tuple[int, int, int], dtype: np.dtype) -> np.ndarray:
    """Return an array of this shape that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)
