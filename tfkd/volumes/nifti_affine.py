"""Where the voxels of a NIfTI file lie, in millimetres."""

import itertools
import warnings
from typing import Any

import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.nifti_fields import refuse_field

__all__ = ["IDENTITY_AFFINE", "affine_mm"]

# The CT without an orientation that users meet are the 20 of 3D-IRCADb, as cases 28 to 47 of LiTS17
# and of MSD's Task03_Liver. Their arrays are laid out like this; so are, by nibabel's rule, those
# of files with neither qform nor sform.
IDENTITY_AFFINE = "LAS"
"""Axes of a file that states no orientation, unless the caller names others."""

# Of the header's xyzt_units; a file without one is in millimetres, as every tool reads it.
_UNITS_MM = {0: ("mm", 1.0), 1: ("metres", 1000.0), 2: ("mm", 1.0), 3: ("microns", 0.001)}
_SPATIAL_UNIT = 0x07  # bits of xyzt_units

# No voxel of a patient's CT is smaller or larger. Metres or microns that are taken for mm are.
_SMALLEST_MM, _LARGEST_MM = 0.01, 100.0

# Ten kilometres: a number beyond is no place in a hospital, and too large to compute with.
_FARTHEST_MM = 1e7

_RIGHT_ANGLE_TOLERANCE = np.sin(np.radians(1.0))
_SIZE_TOLERANCE = 0.01  # of pixdim against the sform: headers are rounded to 3 digits at worst
_CORNER_TOLERANCE_VOXELS = 0.5


@np.errstate(over="ignore", invalid="ignore")  # numbers that overflow are refused as too large
def affine_mm(header: Any, identity_affine: str | None, where: str) -> np.ndarray:
    """Return the (4, 4) voxel -> RAS+ mm matrix of the array on disk.

    It is the sform where its code is above 0, else the qform. A file in metres or microns, axes
    that are not at right angles, a sform that disagrees with the qform or with the voxel sizes, and
    a file that states no orientation give a `UserWarning` each.

    Args:
        header: What `checked_header` gave.
        identity_affine: See `read_volume`.
        where: Words for messages: case and file.

    Raises:
        GeometryError: A number that is needed is not finite, or is 0 or negative where it must not
            be, or the axes are not independent, or their steps are not those of a CT.
        ValueError: `identity_affine` does not name three axes.
    """
    if identity_affine is not None:
        _directions(identity_affine)  # a wrong one is told even where no file needs it
    unit, mm = _unit(header, where)
    stated = _stated(header, where)
    if stated is None or np.array_equal(stated, np.eye(4)):
        codes = IDENTITY_AFFINE if identity_affine is None else identity_affine
        affine = np.eye(4)
        affine[:3, :3] = _directions(codes) * _voxel_sizes(header, where)
    else:
        codes = None
        affine = stated.copy()
    affine[:3] *= mm
    sizes_mm = np.linalg.norm(affine[:3, :3], axis=0)
    _check_axes(affine, sizes_mm, unit, where)
    if stated is not None and codes is None:
        _tell_disagreement(header, stated, where)
    if mm != 1.0:
        _warn(
            f"{where} is in {unit}, as the header's xyzt_units says; read as voxels of "
            f"{_numbers(sizes_mm)} mm."
        )
    if codes is not None:
        what = "has neither qform nor sform" if stated is None else "has an identity affine"
        advice = ""
        if identity_affine is None:
            advice = (
                " (if that is wrong, give its axes: --identity-affine, identity_affine= in Python)"
            )
        _warn(
            f"{where} {what}, so its orientation is not known: it is read as {codes}{advice}. "
            f"Its voxel size of {_numbers(sizes_mm)} mm, and all volumes and distances, may be "
            "wrong as well."
        )
    return affine


def _stated(header: Any, where: str) -> np.ndarray | None:
    """Return the affine as the header has it, in its unit, or None if it has none."""
    if header["sform_code"] > 0:
        return _sform(header, where)
    return _qform(header, where) if header["qform_code"] > 0 else None


def _unit(header: Any, where: str) -> tuple[str, float]:
    code = int(header["xyzt_units"]) & _SPATIAL_UNIT
    if code not in _UNITS_MM:
        refuse_field(where, "xyzt_units", "metre (1), mm (2) or micron (3)", code)
    return _UNITS_MM[code]


def _sform(header: Any, where: str) -> np.ndarray:
    affine = np.eye(4)
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        affine[row] = header[name]
        if not np.isfinite(affine[row]).all():
            refuse_field(where, name, "finite numbers", affine[row].tolist())
    return affine


def _qform(header: Any, where: str) -> np.ndarray:
    _voxel_sizes(header, where)
    if header["pixdim"][0] not in (-1, 0, 1):
        refuse_field(where, "pixdim[0], the qfac", "-1 or 1", float(header["pixdim"][0]))
    for name in ("qoffset_x", "qoffset_y", "qoffset_z", "quatern_b", "quatern_c", "quatern_d"):
        if not np.isfinite(header[name]):
            refuse_field(where, name, "a finite number", float(header[name]))
    known = header.copy()
    if known["pixdim"][0] == 0:
        known["pixdim"][0] = 1  # by the NIfTI standard
    try:
        return np.array(known.get_qform(), dtype=np.float64)
    except ValueError:
        quaternion = [float(header[f"quatern_{name}"]) for name in "bcd"]
        refuse_field(where, "quatern_b, _c and _d", "a length of at most 1", quaternion)


def _voxel_sizes(header: Any, where: str) -> np.ndarray:
    """Return the three sizes of pixdim, which must be positive."""
    sizes = np.array(header["pixdim"][1:4], dtype=np.float64)
    for axis, size in enumerate(sizes, start=1):
        if not (np.isfinite(size) and size > 0):
            refuse_field(where, f"pixdim[{axis}], a voxel size", "a positive number", size)
    return sizes


def _check_axes(affine: np.ndarray, sizes_mm: np.ndarray, unit: str, where: str) -> None:
    axes = affine[:3, :3]
    # |det| / product of the axes' lengths is 1 for orthogonal axes and 0 for coplanar ones.
    if not abs(np.linalg.det(axes)) > 1e-3 * np.prod(sizes_mm):
        raise GeometryError(
            f"{where}: expected an affine with three independent axes. Received {affine.tolist()}."
        )
    if not (sizes_mm.min() >= _SMALLEST_MM and sizes_mm.max() <= _LARGEST_MM):
        raise GeometryError(
            f"{where}: expected voxels of {_SMALLEST_MM} to {_LARGEST_MM:g} mm. Received "
            f"{_numbers(sizes_mm)} mm, of a header in {unit}; correct its voxel sizes (pixdim, "
            "sform) or its unit (xyzt_units)."
        )
    if np.abs(affine[:3, 3]).max() > _FARTHEST_MM:
        raise GeometryError(
            f"{where}: expected a first voxel within {_FARTHEST_MM:g} mm of the origin. Received "
            f"{_numbers(affine[:3, 3])} mm; correct the header's offsets (qoffset, srow), or "
            "export the file again."
        )
    unit_axes = axes / sizes_mm
    cosines = np.abs(unit_axes.T @ unit_axes - np.eye(3)).max()
    if cosines > _RIGHT_ANGLE_TOLERANCE:
        _warn(
            f"{where}: its axes are not at right angles (off by "
            f"{np.degrees(np.arcsin(min(1.0, cosines))):.1f} degrees), as with a tilted gantry. "
            "Slices are taken as they are; resample it to an upright grid if that is not meant."
        )


def _tell_disagreement(header: Any, sform: np.ndarray, where: str) -> None:
    """Warn where pixdim or the qform say something else than the sform, if that is used."""
    if header["sform_code"] <= 0:
        return
    sizes = np.linalg.norm(sform[:3, :3], axis=0)
    pixdim = np.array(header["pixdim"][1:4], dtype=np.float64)
    if not (np.abs(pixdim - sizes) <= _SIZE_TOLERANCE * sizes).all():  # also true for NaN
        _warn(
            f"{where}: the header's pixdim says voxels of {_numbers(pixdim)}, but its sform "
            f"{_numbers(sizes)}; the sform is used."
        )
        return
    if header["qform_code"] <= 0:
        return
    try:
        qform = _qform(header, where)
        apart = _corners_apart(sform, qform, header.get_data_shape()[:3])
    except (GeometryError, np.linalg.LinAlgError):
        _warn(f"{where}: the header's qform cannot be used; its sform is.")
        return
    if not apart <= _CORNER_TOLERANCE_VOXELS:  # also true for NaN
        _warn(
            f"{where}: the header's qform and sform put corners {apart:.1f} voxels apart; the "
            "sform is used."
        )


def _corners_apart(one: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return how many voxels the corners of two placements lie apart at most."""
    corners = np.array([(*c, 1.0) for c in itertools.product(*((0, n - 1) for n in shape))])
    back = np.linalg.inv(one) @ other
    return float(np.abs(corners @ back.T - corners).max())


def _directions(codes: str) -> np.ndarray:
    """Return the (3, 3) signed permutation whose columns point where `codes` says, in RAS+."""
    signed = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    directions = np.zeros((3, 3))
    for column, code in enumerate(codes[:3]):
        row, sign = signed.get(code, (0, 0))
        directions[row, column] = sign
    if len(codes) != 3 or abs(np.linalg.det(directions)) != 1:
        raise ValueError(
            f"`identity_affine` (--identity-affine) must name three different axes, such as "
            f"'LAS'. Received: {codes!r}."
        )
    return directions


def _numbers(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=5)
