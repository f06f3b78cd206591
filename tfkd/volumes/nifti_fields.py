"""A NIfTI header as numbers, believed only as far as it is sane."""

import warnings
from typing import Any, NoReturn

import nibabel as nib
import numpy as np
from nibabel.nifti1 import data_type_codes

from tfkd.errors import GeometryError

__all__ = [
    "HEADER_BYTES",
    "checked_header",
    "refuse_field",
    "scaling",
    "three_axes",
    "voxel_offset",
]

HEADER_BYTES = 540
"""Of the longer header, NIfTI-2; that of NIfTI-1 has 348."""

_KINDS = (
    (nib.Nifti1Header, 348, slice(344, 348), (b"n+1\0", b"ni1\0")),
    (nib.Nifti2Header, 540, slice(4, 12), (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")),
)


def checked_header(start: bytes, where: str) -> Any:
    """Return the header of a NIfTI file, with sane sizes, number type and codes.

    Nothing is repaired, as nibabel does by default: a voxel size of 0 stays 0.

    Args:
        start: The first `HEADER_BYTES` of the file, or all of a shorter one.
        where: Words for messages: case and file.

    Returns:
        A `Nifti1Header` or `Nifti2Header`.

    Raises:
        GeometryError: It is no NIfTI header, or a field holds what it cannot; the field is named.
    """
    header = _parsed(start, where)
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        refuse_field(where, "dim[0], the number of axes", "3", axes)
    sizes = tuple(int(n) for n in header["dim"][1 : 1 + axes])
    if min(sizes) < 0:
        refuse_field(where, "dim", "sizes of 1 or more", sizes)
    if int(header["datatype"]) not in data_type_codes.value_set():
        refuse_field(where, "datatype", "the code of a number type", int(header["datatype"]))
    for name in ("qform_code", "sform_code"):
        if not 0 <= header[name] <= 5:
            refuse_field(where, name, "0 to 5", int(header[name]))
    return header


def three_axes(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    """Return the three axes of a shape on disk, without further ones of length 1.

    Raises:
        GeometryError: It is not 3-D, or has no voxels.
    """
    if len(shape) < 3:
        raise GeometryError(
            f"{where}: expected one 3-D volume. Received shape {shape}; a single slice must be "
            "stored as (x, y, 1), with its thickness as the third voxel size."
        )
    if any(n > 1 for n in shape[3:]):
        raise GeometryError(
            f"{where}: expected one 3-D volume. Received shape {shape}; split a series into one "
            f"file a volume."
        )
    if 0 in shape:
        raise GeometryError(f"{where}: the volume is empty. Received shape {shape}.")
    return shape[0], shape[1], shape[2]


def scaling(header: Any, where: str) -> tuple[float, float]:
    """Return slope and intercept of the stored numbers; of a slope of 0 or NaN, 1 and 0.

    Raises:
        GeometryError: One of them is infinite, or the intercept of a slope is NaN.
    """
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if np.isinf(slope):
        refuse_field(where, "scl_slope", "a finite number", slope)
    if np.isinf(inter) or (np.isnan(inter) and not np.isnan(slope) and slope != 0):
        refuse_field(where, "scl_inter", "a finite number", inter)
    if not np.isnan(slope) and slope != 0:
        return slope, inter
    if not np.isnan(inter) and inter != 0:
        warnings.warn(
            f"{where}: the header's scl_inter is {inter:g}, but its scl_slope {slope:g}, so that "
            "by the NIfTI standard neither is applied.",
            UserWarning,
            stacklevel=4,
        )
    return 1.0, 0.0


def voxel_offset(header: Any, in_one_file: bool, where: str) -> int:
    """Return where in its file the first voxel lies.

    Args:
        header: What `checked_header` gave.
        in_one_file: Whether header and voxels share a file.
        where: Words for messages: case and file.

    Raises:
        GeometryError: It is no number of bytes, or lies in the header.
    """
    offset = float(header["vox_offset"])
    least = header.sizeof_hdr + 4 if in_one_file else 0
    if offset == 0:
        return least
    if not np.isfinite(offset) or offset != int(offset) or offset < least:
        refuse_field(where, "vox_offset", f"a whole number of at least {least}", offset)
    return int(offset)


def refuse_field(where: str, field: str, expected: str, received: object) -> NoReturn:
    """Raise the error of a header's field.

    Raises:
        GeometryError: Always.
    """
    raise GeometryError(
        f"{where}: expected {expected} in the header's {field}. Received {received}; correct the "
        "header, or export the file again."
    )


def _parsed(start: bytes, where: str) -> Any:
    for kind, size, magic_at, magics in _KINDS:
        if len(start) >= size and start[magic_at] in magics:
            for sign in "<>":
                if np.frombuffer(start[:4], f"{sign}i4").item() == size:
                    return kind(start[:size], endianness=sign, check=False)
    what = "a file that is too short for a header" if len(start) < 348 else "other first bytes"
    raise GeometryError(f"{where}: expected a NIfTI file. Received {what}.")
