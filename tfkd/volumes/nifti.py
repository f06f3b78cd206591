"""NIfTI files in and out, by way of the canonical frame."""

import itertools
import os
import warnings
import zlib
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from nibabel import orientations

from tfkd.errors import GeometryError
from tfkd.volumes.files import atomic_path
from tfkd.volumes.volume import FileGeometry, Volume

__all__ = ["check_same_geometry", "read_volume", "write_volume"]

# Everything in a NIfTI header that says where the voxels lie. Copied as stored: going through
# matrices would round the quaternion of the qform.
_GEOMETRY_FIELDS = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)

# What nibabel, gzip and NumPy raise for files that are not NIfTI, damaged or cut short.
_UNREADABLE = (
    *(nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError),
    *(OSError, EOFError, ValueError, zlib.error),
)

# How far, in voxels, the corners of an image and its mask may lie apart. Float32 headers and the
# quaternion's rounding stay below 0.01; a flipped, shifted or rescaled mask lies far above.
_CORNER_TOLERANCE_VOXELS = 0.1


def read_volume(
    path: str | os.PathLike[str],
    *,
    kind: Literal["ct", "mask"] = "ct",
    case_id: str | None = None,
    identity_affine: str | None = None,
) -> Volume:
    """Read a NIfTI file into the canonical frame.

    Args:
        path: A `.nii` or `.nii.gz` file of three axes; further axes of length 1 are dropped.
        kind: `"ct"` gives int16 HU: the header's slope and intercept are applied, fractions
            rounded. `"mask"` gives uint8 labels.
        case_id: Name of the case; by default the file's name without its suffixes.
        identity_affine: What to take the axes on disk for, such as `"LAS"` (first axis grows to
            the patient's Left, …), where the file states no orientation: its affine is the
            identity, or both its qform and sform codes are 0. Such a file gives a `UserWarning`
            with or without this argument.

    Returns:
        The volume; its `origin` lets `write_volume` restore the layout of this file.

    Raises:
        GeometryError: The file is missing, damaged or not NIfTI, is not 3-D or has no voxels, its
            affine is singular, its values are not finite, do not fit int16 HU, or are not
            integral labels of 0 to 255.
        ValueError: `kind` or `identity_affine` is not one of the known values.
    """
    path = Path(path)
    case_id = path.name.removesuffix(".gz").removesuffix(".nii") if case_id is None else case_id
    where = f"Case {case_id!r}, file {path}"
    if kind not in ("ct", "mask"):
        raise ValueError(f'`kind` must be "ct" or "mask". Received: {kind!r}.')
    image = _open(path, where)
    shape = _three_axes(image.shape, where)
    affine = _affine(image, identity_affine, where)
    voxels = _voxels(image, where).reshape(shape, order="F")
    voxels = _to_hu(voxels, where) if kind == "ct" else _to_labels(voxels, where)

    on_disk = orientations.io_orientation(affine)
    to_canonical = orientations.ornt_transform(on_disk, orientations.axcodes2ornt("LPS"))
    canonical_xyz = orientations.apply_orientation(voxels, to_canonical)
    origin = FileGeometry(
        shape=image.shape,
        affine=affine,
        orientation="".join(orientations.ornt2axcodes(on_disk)),
        header={field: np.array(image.header[field]) for field in _GEOMETRY_FIELDS},
        nifti_version=2 if isinstance(image.header, nib.Nifti2Header) else 1,
    )
    return Volume(
        array=np.ascontiguousarray(canonical_xyz.transpose(2, 1, 0)),
        affine=affine @ orientations.inv_ornt_aff(to_canonical, shape),
        case_id=case_id,
        origin=origin,
    )


def write_volume(volume: Volume, path: str | os.PathLike[str]) -> None:
    """Write a volume in the layout of the file it came from.

    Shape, axis order, affine, qform, sform and their codes are those of `volume.origin`, exactly,
    so that a predicted mask lies on the CT in any viewer. Without an origin, the file's axes are
    (x, y, z) growing to Left, Posterior and Superior. The file appears whole or not at all.

    Args:
        volume: int16 HU or uint8 labels; stored as that type, unscaled.
        path: File to write, ending in `.nii` or `.nii.gz`.

    Raises:
        GeometryError: The volume does not have as many voxels as the file it came from.
        ValueError: The path has another suffix.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"`path` must end in .nii or .nii.gz. Received: {path}.")
    voxels = volume.array.transpose(2, 1, 0)
    origin = volume.origin
    if origin is None:
        image = nib.Nifti1Image(voxels, volume.affine)
        image.header.set_xyzt_units("mm")
        image.set_sform(volume.affine, code="scanner")
        image.set_qform(volume.affine, code="scanner")
    else:
        from_canonical = orientations.ornt_transform(
            orientations.axcodes2ornt("LPS"), orientations.io_orientation(origin.affine)
        )
        voxels = orientations.apply_orientation(voxels, from_canonical)
        if voxels.shape != _three_axes(origin.shape, f"Case {volume.case_id!r}"):
            raise GeometryError(
                f"Case {volume.case_id!r}: the volume came from a file of shape {origin.shape}, so "
                f"it cannot be written to {path} in that layout. Received {voxels.shape}; use "
                f"`dataclasses.replace(volume, origin=None)` to write a new layout."
            )
        image = _image_like(origin, voxels)
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


def check_same_geometry(
    image: Volume,
    mask: Volume,
    image_path: str | os.PathLike[str],
    mask_path: str | os.PathLike[str],
) -> None:
    """Raise if an image and a mask do not lie on the same voxels.

    The two are compared in the canonical frame, so a mask may be stored with other axes than its
    image. Their shapes must agree, and no corner may lie more than 0.1 voxels from its partner.

    Args:
        image: The CT.
        mask: Its labels.
        image_path: For the message.
        mask_path: For the message.

    Raises:
        GeometryError: They differ; the message names the case and both files.
    """
    files = f"Case {image.case_id!r}: image {os.fspath(image_path)} and mask {os.fspath(mask_path)}"
    if image.shape != mask.shape:
        raise GeometryError(
            f"{files} must have one shape. Received (z, y, x) = {image.shape} and {mask.shape}."
        )
    size_xyz = np.array(image.shape[::-1])
    corners = np.array([(*c, 1.0) for c in itertools.product(*([-0.5, n - 0.5] for n in size_xyz))])
    to_image_voxel = np.linalg.inv(image.affine) @ mask.affine
    apart = np.abs(corners @ to_image_voxel.T - corners).max()
    if apart > _CORNER_TOLERANCE_VOXELS:
        raise GeometryError(
            f"{files} must lie on the same voxels, but their affines put corners {apart:.2f} "
            f"voxels apart (allowed: {_CORNER_TOLERANCE_VOXELS}). Received "
            f"{_describe(image)} and {_describe(mask)}. Resample the mask onto the image, or "
            f"correct the wrong header."
        )


def _open(path: Path, where: str) -> Any:
    if not path.is_file():
        raise GeometryError(f"{where}: there is no such file.")
    try:
        # No memory map: a volume must not change with its file.
        image = nib.load(path, mmap=False)
    except _UNREADABLE as error:
        raise GeometryError(
            f"{where}: expected a NIfTI file, but it cannot be read ({error})."
        ) from error
    if not isinstance(image, nib.Nifti1Pair):  # the base of all NIfTI-1 and NIfTI-2 images
        raise GeometryError(f"{where}: expected a NIfTI file. Received {type(image).__name__}.")
    return image


def _three_axes(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise GeometryError(
            f"{where}: expected one 3-D volume. Received shape {shape}; split a series into one "
            f"file a volume."
        )
    if 0 in shape:
        raise GeometryError(f"{where}: the volume is empty. Received shape {shape}.")
    return shape[0], shape[1], shape[2]


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
    if identity_affine is not None:
        directions = _directions(identity_affine)
        affine = np.eye(4)
        affine[:3, :3] = directions * np.array(header.get_zooms()[:3], dtype=np.float64)
    codes = "".join(nib.aff2axcodes(affine))
    spacing_mm = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0).round(4))
    advice = "" if identity_affine else "; pass identity_affine= if you know better"
    warnings.warn(
        f"{where} {stated}, so its orientation is a guess: read as {codes}{advice}. Its voxel size "
        f"of {spacing_mm} mm, and all volumes and distances, may be wrong as well.",
        UserWarning,
        stacklevel=3,
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


def _voxels(image: Any, where: str) -> np.ndarray:
    """Return the array on disk, scaled as its header says; float32 where it is scaled."""
    try:
        if image.dataobj.slope == 1 and image.dataobj.inter == 0:
            voxels = np.asarray(image.dataobj)
        else:
            voxels = np.asarray(image.dataobj, dtype=np.float32)
    except _UNREADABLE as error:
        raise GeometryError(
            f"{where}: the file is damaged or cut short ({error}). Fetch or export it again."
        ) from error
    if voxels.dtype.kind not in "iufb":
        raise GeometryError(f"{where}: expected one number a voxel. Received {voxels.dtype}.")
    return voxels


def _to_hu(voxels: np.ndarray, where: str) -> np.ndarray:
    low, high = voxels.min(), voxels.max()  # NaN if any is NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = np.count_nonzero(~np.isfinite(voxels))
        raise GeometryError(f"{where}: expected finite HU. Received {bad} voxels of NaN or Inf.")
    limits = np.iinfo(np.int16)
    if low < limits.min or high > limits.max:
        raise GeometryError(f"{where}: expected HU that fit int16. Received {low} to {high}.")
    if voxels.dtype.kind == "f":
        voxels = np.rint(voxels)
    return voxels.astype(np.int16, copy=False)


def _to_labels(voxels: np.ndarray, where: str) -> np.ndarray:
    low, high = voxels.min(), voxels.max()
    if not (low >= 0 and high <= 255):  # also true for NaN
        raise GeometryError(f"{where}: expected labels of 0 to 255. Received {low} to {high}.")
    labels = voxels.astype(np.uint8, copy=False)
    if voxels.dtype.kind == "f" and not np.array_equal(labels, voxels):
        example = voxels[labels != voxels].flat[0]
        raise GeometryError(
            f"{where}: expected whole-numbered labels. Received for example {example}; a mask must "
            f"be resampled with nearest neighbours, not linearly."
        )
    return labels


def _image_like(origin: FileGeometry, voxels: np.ndarray) -> Any:
    image_class = nib.Nifti2Image if origin.nifti_version == 2 else nib.Nifti1Image
    header = image_class.header_class()
    for field, value in origin.header.items():
        header[field] = value
    header.set_data_dtype(voxels.dtype)
    # With affine None, nibabel leaves the header's own qform and sform as they are.
    return image_class(voxels.reshape(origin.shape), None, header)


def _describe(volume: Volume) -> str:
    spacing = ", ".join(f"{s:.4g}" for s in volume.spacing_mm)
    first = ", ".join(f"{p:.4g}" for p in volume.affine[:3, 3])
    return f"[spacing (z, y, x) = ({spacing}) mm, first voxel at RAS ({first}) mm]"
