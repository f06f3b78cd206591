"""What a NIfTI file says of its voxels, and headers for new ones."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from tfkd.volumes.names import name_of
from tfkd.volumes.nifti_affine import affine_mm
from tfkd.volumes.nifti_file import NiftiFile
from tfkd.volumes.volume import FileGeometry

__all__ = ["case_id_of", "file_geometry", "image_like", "new_image"]

# Everything in a NIfTI header that says where the voxels lie. Copied as stored: going through
# matrices would round the quaternion of the qform.
_GEOMETRY_FIELDS = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)


def case_id_of(path: Path) -> str:
    """Return a file's name without `.nii` or `.nii.gz`."""
    return name_of(path)


def file_geometry(file: NiftiFile, identity_affine: str | None, where: str) -> FileGeometry:
    """Return how a NIfTI file lays out its voxels.

    Args:
        file: The file.
        identity_affine: See `read_volume`.
        where: Words for messages: case and file.

    Raises:
        GeometryError: See `affine_mm`.
        ValueError: `identity_affine` does not name three axes.
    """
    affine = affine_mm(file.header, identity_affine, where)
    return FileGeometry(
        shape=file.stored_shape,
        affine=affine,
        orientation="".join(nib.aff2axcodes(affine)),
        header={field: np.array(file.header[field]) for field in _GEOMETRY_FIELDS},
        nifti_version=file.nifti_version,
    )


def image_like(origin: FileGeometry, voxels: np.ndarray) -> Any:
    """Return a NIfTI image of these voxels, with exactly the geometry of an earlier file.

    Args:
        origin: Of the earlier file.
        voxels: On the axes of that file.
    """
    image_class = nib.Nifti2Image if origin.nifti_version == 2 else nib.Nifti1Image
    header = image_class.header_class()
    header.set_data_dtype(voxels.dtype)
    # With affine None, nibabel leaves the header's own qform and sform as they are.
    image = image_class(voxels.reshape(origin.shape), None, header)
    for field, value in origin.header.items():
        # Last, since nibabel would repair a voxel size of 0 when it takes a header over.
        image.header[field] = value
    return image


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
