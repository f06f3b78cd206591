"""Which CTs lie at a path, and how to open one."""

import warnings
from pathlib import Path

from tfkd.errors import GeometryError
from tfkd.volumes.ct_search import no_ct, search_cts
from tfkd.volumes.ct_slices import CTSlices
from tfkd.volumes.dicom_file import dicom_kind
from tfkd.volumes.dicom_slices import DicomSlices
from tfkd.volumes.nifti_slices import NiftiSlices

__all__ = ["find_cts", "open_ct"]


def find_cts(path: str | Path) -> list[Path]:
    """Return the CTs at a path, each a NIfTI file or the folder of a DICOM series.

    What a folder stands for, and what is taken for a mask, is said at `search_cts`. A `UserWarning`
    for each kind of things says what is left out.

    Args:
        path: A file, which need not exist, or a folder.

    Raises:
        GeometryError: There is no CT at the path.
    """
    search = search_cts(path)
    if not search.cts:
        raise no_ct(Path(path), search)
    for line in search.lines():
        warnings.warn(f"{path}: {line}", UserWarning, stacklevel=2)
    return list(search.cts)


def open_ct(path: str | Path, *, identity_affine: str | None = None) -> CTSlices:
    """Open a CT of either kind, to be read slice by slice.

    Args:
        path: A NIfTI file, or the folder of a DICOM series.
        identity_affine: See `read_volume`; DICOM always states its orientation.

    Raises:
        GeometryError: See `NiftiSlices` and `DicomSlices`; or it is a single file of DICOM.
        ImportError: It is DICOM, and pydicom is not installed.
    """
    path = Path(path)
    if path.is_dir():
        return DicomSlices(path)
    if dicom_kind(path) is not None:
        raise GeometryError(
            f"Case {path.stem!r}, file {path}: expected a NIfTI file or the folder of a DICOM "
            "series. Received one DICOM file. Give the folder that holds the series."
        )
    return NiftiSlices(path, identity_affine=identity_affine)
