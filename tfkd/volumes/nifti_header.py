"""What a NIfTI file says of its voxels, and headers for new ones."""

import warnings
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.names import name_of
from tfkd.volumes.volume import FileGeometry

__all__ = [
    "IDENTITY_AFFINE",
    "UNREADABLE",
    "case_id_of",
    "file_geometry",
    "image_like",
    "new_image",
    "open_nifti",
    "three_axes",
]

# The CT without an orientation that users meet are the 20 of 3D-IRCADb, as cases 28 to 47 of LiTS17
# and of MSD's Task03_Liver. Their arrays are laid out like this; so are, by nibabel's rule, those
# of files with neither qform nor sform.
IDENTITY_AFFINE = "LAS"
"""Axes of a file that states no orientation, unless the caller names others."""

# Everything in a NIfTI header that says where the voxels lie. Copied as stored: going through
# matrices would round the quaternion of the qform.
_GEOMETRY_FIELDS = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)

# What nibabel, gzip and NumPy raise for files that are not NIfTI, damaged or cut short.
UNREADABLE = (
    *(nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError),
    *(OSError, EOFError, ValueError, zlib.error),
)


def case_id_of(path: Path) -> str:
    """Return a file's name without `.nii` or `.nii.gz`."""
    return name_of(path)


def open_nifti(path: Path, where: str) -> Any:
    """Return the image of a NIfTI file, its voxels not yet read.

    Raises:
        GeometryError: The file is missing, damaged or not NIfTI.
    """
    if not path.is_file():
        raise GeometryError(f"{where}: there is no such file.")
    try:
        # No memory map: a volume must not change with its file.
        image = nib.load(path, mmap=False)
    except UNREADABLE as error:
        raise GeometryError(
            f"{where}: expected a NIfTI file, but it cannot be read ({error})."
        ) from error
    if not isinstance(image, nib.Nifti1Pair):  # the base of all NIfTI-1 and NIfTI-2 images
        raise GeometryError(f"{where}: expected a NIfTI file. Received {type(image).__name__}.")
    return image


def three_axes(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    """Return the three axes of a shape on disk, without further ones of length 1.

    Raises:
        GeometryError: It is not 3-D, or has no voxels.
    """
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise GeometryError(
            f"{where}: expected one 3-D volume. Received shape {shape}; split a series into one "
            f"file a volume."
        )
    if 0 in shape:
        raise GeometryError(f"{where}: the volume is empty. Received shape {shape}.")
    return shape[0], shape[1], shape[2]


def file_geometry(image: Any, identity_affine: str | None, where: str) -> FileGeometry:
    """Return how a NIfTI file lays out its voxels.

    Args:
        image: What `open_nifti` gave.
        identity_affine: See `read_volume`.
        where: Words for messages: case and file.

    Raises:
        GeometryError: The affine is singular.
        ValueError: `identity_affine` does not name three axes.
    """
    if identity_affine is not None:
        _directions(identity_affine)  # a wrong one is told even where no file needs it
    affine = _affine(image, identity_affine, where)
    return FileGeometry(
        shape=image.shape,
        affine=affine,
        orientation="".join(nib.aff2axcodes(affine)),
        header={field: np.array(image.header[field]) for field in _GEOMETRY_FIELDS},
        nifti_version=2 if isinstance(image.header, nib.Nifti2Header) else 1,
    )


def image_like(origin: FileGeometry, voxels: np.ndarray) -> Any:
    """Return a NIfTI image of these voxels, with exactly the geometry of an earlier file.

    Args:
        origin: Of the earlier file.
        voxels: On the axes of that file.
    """
    image_class = nib.Nifti2Image if origin.nifti_version == 2 else nib.Nifti1Image
    header = image_class.header_class()
    for field, value in origin.header.items():
        header[field] = value
    header.set_data_dtype(voxels.dtype)
    # With affine None, nibabel leaves the header's own qform and sform as they are.
    return image_class(voxels.reshape(origin.shape), None, header)


def new_image(voxels: np.ndarray, affine: np.ndarray) -> Any:
    """Return a NIfTI image of a layout of its own.

    Args:
        voxels: Axes as in the affine.
        affine: (4, 4) voxel -> RAS+ mm.
    """
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    return image


def _affine(image: Any, identity_affine: str | None, where: str) -> np.ndarray:
    """Return the (4, 4) voxel -> RAS+ mm matrix of the array on disk."""
    affine = np.asarray(image.affine, dtype=np.float64)
    axes = affine[:3, :3]
    sizes = np.linalg.norm(axes, axis=0)
    # |det| / product of the axes' lengths is 1 for orthogonal axes and 0 for coplanar ones.
    if not np.isfinite(affine).all() or not abs(np.linalg.det(axes)) > 1e-3 * np.prod(sizes):
        raise GeometryError(
            f"{where}: expected an affine with three independent axes. Received {affine.tolist()}."
        )
    header = image.header
    if header["qform_code"] == header["sform_code"] == 0:
        stated = "has neither qform nor sform"
    elif np.array_equal(affine, np.eye(4)):
        stated = "has an identity affine"
    else:
        return affine
    codes = IDENTITY_AFFINE if identity_affine is None else identity_affine
    affine = np.eye(4)
    affine[:3, :3] = _directions(codes) * np.array(header.get_zooms()[:3], dtype=np.float64)
    spacing_mm = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0).round(4))
    advice = ""
    if identity_affine is None:
        advice = " (if that is wrong, give its axes: --identity-affine, identity_affine= in Python)"
    warnings.warn(
        f"{where} {stated}, so its orientation is not known: it is read as {codes}{advice}. Its "
        f"voxel size of {spacing_mm} mm, and all volumes and distances, may be wrong as well.",
        UserWarning,
        stacklevel=4,
    )
    return affine


def _directions(codes: str) -> np.ndarray:
    """Return the (3, 3) signed permutation whose columns point where `codes` says, in RAS+."""
    signed = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    directions = np.zeros((3, 3))
    for column, code in enumerate(codes[:3]):
        row, sign = signed.get(code, (0, 0))
        directions[row, column] = sign
    if len(codes) != 3 or abs(np.linalg.det(directions)) != 1:
        raise ValueError(
            f"`identity_affine` must name three different axes, such as 'LAS'. Received: {codes!r}."
        )
    return directions
