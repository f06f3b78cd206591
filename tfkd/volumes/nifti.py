"""NIfTI files in and out, by way of the canonical frame."""

import itertools
import os
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.files import atomic_path
from tfkd.volumes.frame import CanonicalFrame
from tfkd.volumes.hu import scaled, to_hu
from tfkd.volumes.labels import to_labels
from tfkd.volumes.nifti_fields import three_axes
from tfkd.volumes.nifti_file import NiftiFile
from tfkd.volumes.nifti_header import case_id_of, file_geometry, image_like, new_image
from tfkd.volumes.volume import Volume

__all__ = ["check_same_geometry", "read_volume", "write_volume"]

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

    It is read to its checksum, where it is compressed. A header in metres or microns is read as
    millimetres, with a `UserWarning`; what else is odd about it gives one as well, see `affine_mm`.

    Args:
        path: A `.nii` or `.nii.gz` file of three axes; further axes of length 1 are dropped.
        kind: `"ct"` gives int16 HU: the header's slope and intercept are applied, fractions
            rounded. `"mask"` gives uint8 labels; those that lie within 0.001 of a whole number are
            rounded to it, with a `UserWarning`.
        case_id: Name of the case; by default the file's name without its suffixes.
        identity_affine: What to take the axes on disk for, such as `"LAS"` (first axis grows to
            the patient's Left, …), where the file states no orientation: its affine is the
            identity, or both its qform and sform codes are 0. None for `IDENTITY_AFFINE`,
            `"LAS"`, whatever the cohort; `"RAS"` takes an identity at its word. Such a file
            gives a `UserWarning` with or without this argument.

    Returns:
        The volume; its `origin` lets `write_volume` restore the layout of this file.

    Raises:
        GeometryError: The file is missing or not NIfTI, its checksum or length is wrong, it is not
            3-D or has no voxels, its header holds what cannot be, such as a voxel size of 0, or its
            values are not finite, do not fit int16 HU, or are not integral labels of 0 to 255.
        ValueError: `kind` or `identity_affine` is not one of the known values.
    """
    path = Path(path)
    case_id = case_id_of(path) if case_id is None else case_id
    where = f"Case {case_id!r}, file {path}"
    if kind not in ("ct", "mask"):
        raise ValueError(f'`kind` must be "ct" or "mask". Received: {kind!r}.')
    file = NiftiFile(path, where)
    origin = file_geometry(file, identity_affine, where)
    frame = CanonicalFrame(file.shape, origin.affine)
    (stored,) = file.slabs(file.shape[2])
    voxels = scaled(stored, file.slope, file.inter)
    voxels = to_hu(voxels, where) if kind == "ct" else to_labels(voxels, where)
    return Volume(
        array=np.ascontiguousarray(frame.from_file(voxels)),
        affine=frame.affine,
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
    origin = volume.origin
    if origin is None:
        image = new_image(volume.array.transpose(2, 1, 0), volume.affine)
    else:
        shape = three_axes(origin.shape, f"Case {volume.case_id!r}")
        voxels = CanonicalFrame(shape, origin.affine).to_file(volume.array)
        if voxels.shape != shape:
            raise GeometryError(
                f"Case {volume.case_id!r}: the volume came from a file of shape {origin.shape}, so "
                f"it cannot be written to {path} in that layout. Received {voxels.shape}; use "
                f"`dataclasses.replace(volume, origin=None)` to write a new layout."
            )
        image = image_like(origin, voxels)
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


def _describe(volume: Volume) -> str:
    spacing = ", ".join(f"{s:.4g}" for s in volume.spacing_mm)
    first = ", ".join(f"{p:.4g}" for p in volume.affine[:3, 3])
    return f"[spacing (z, y, x) = ({spacing}) mm, first voxel at RAS ({first}) mm]"
