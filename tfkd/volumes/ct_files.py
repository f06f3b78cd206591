"""Which CTs lie at a path, and how to open one."""

import re
from pathlib import Path

from tfkd.errors import GeometryError
from tfkd.volumes.ct_slices import CTSlices
from tfkd.volumes.dicom_slices import DicomSlices
from tfkd.volumes.nifti_slices import NiftiSlices

__all__ = ["find_cts", "open_ct"]

# A mask, or a label's probabilities beside it.
_OF_A_MASK = re.compile(r"_mask(_p\d+_[\w.-]+)?\.nii(\.gz)?$")


def find_cts(path: str | Path) -> list[Path]:
    """Return the CTs at a path, each a NIfTI file or the folder of a DICOM series.

    A file is one CT. A folder is all its NIfTI files, but for those that `tfkd predict` writes,
    `…_mask` and `…_mask_p1_liver`; if it has none, one DICOM series; if it has no files, what its
    subfolders are, in order of their names.

    Args:
        path: A file, which need not exist, or a folder.

    Raises:
        GeometryError: The folder is empty, or holds nothing but masks.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file()]
    volumes = [file for file in files if file.name.endswith((".nii", ".nii.gz"))]
    masks = [file for file in volumes if _OF_A_MASK.search(file.name)]
    if volumes:
        found = [file for file in volumes if file not in masks]
    elif files:
        found = [path]
    else:
        found = [ct for entry in entries if entry.is_dir() for ct in find_cts(entry)]
    if not found:
        raise GeometryError(
            f"{path}: expected NIfTI files, the files of a DICOM series, or folders of such. "
            f"Received {'nothing but masks' if masks else 'an empty folder'}."
        )
    return found


def open_ct(path: str | Path, *, identity_affine: str | None = None) -> CTSlices:
    """Open a CT of either kind, to be read slice by slice.

    Args:
        path: A NIfTI file, or the folder of a DICOM series.
        identity_affine: See `read_volume`; DICOM always states its orientation.

    Raises:
        GeometryError: See `NiftiSlices` and `DicomSlices`.
        ImportError: It is DICOM, and pydicom is not installed.
    """
    path = Path(path)
    if path.is_dir():
        return DicomSlices(path)
    return NiftiSlices(path, identity_affine=identity_affine)
