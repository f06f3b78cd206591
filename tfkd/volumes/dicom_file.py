"""One DICOM file, also one without the preamble that DICOM asks for."""

import re
import warnings
from pathlib import Path
from typing import Any, Literal

__all__ = ["CT_CLASSES", "dicom_kind", "has_preamble", "named_as_a_slice", "pydicom", "read_dicom"]

CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_OF_THE_STANDARD = "1.2.840.10008."
_HEAD_BYTES = 1024
_PREAMBLE_BYTES = 128
# Data elements of group 2 (about the file) or group 8 (about the image) come first.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
_SLICE_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")


def pydicom() -> Any:
    """Return the package.

    Raises:
        ImportError: It is not installed; the message says how to.
    """
    try:
        import pydicom as package
    except ImportError as error:
        raise ImportError(
            f"Reading DICOM needs the package pydicom, which cannot be imported here ({error}). "
            'Install it: pip install "tfkd[dicom]"'
        ) from error
    return package


def dicom_kind(path: Path) -> Literal["ct", "other"] | None:
    """Tell from a file's first bytes whether it is DICOM, and may be a CT.

    Only a secondary capture is looked into with pydicom, if it is there: some are the slices of a
    CT, and most a page with the dose.

    Returns:
        "ct" for a CT or a file that does not state its class, "other" for DICOM of another class,
        such as DICOMDIR, MR or a DICOM SEG, None for what is no DICOM or cannot be read.
    """
    try:
        if not path.is_file():  # opening a pipe waits for whoever writes to it
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    if not _is_dicom(head):
        return None
    # MediaStorageSOPClassUID; the file's first group is always explicit little endian.
    found = re.search(rb"\x02\x00\x02\x00UI(..)([\d.]*)", head, re.DOTALL)
    of_class = found[2].decode() if found else ""
    if of_class.startswith(_SECONDARY_CAPTURE):
        return "ct" if _is_slice_of_ct(path) else "other"
    is_other = of_class.startswith(_OF_THE_STANDARD) and of_class not in CT_CLASSES
    return "other" if is_other else "ct"


def _is_slice_of_ct(path: Path) -> bool:
    try:
        dataset = read_dicom(path, pixels=False, tags=["Modality", "ImagePositionPatient"])
        return dataset.get("Modality") == "CT" and bool(dataset.get("ImagePositionPatient"))
    except Exception:  # it is damaged, or pydicom is not there
        return False


def has_preamble(path: Path) -> bool:
    """Whether the file begins as DICOM asks for: 128 bytes of anything, then `DICM`."""
    with path.open("rb") as file:
        return file.read(_PREAMBLE_BYTES + 4)[_PREAMBLE_BYTES:] == b"DICM"


def named_as_a_slice(name: str) -> bool:
    """Whether a file's name is one that slices have: `1.dcm`, `IM0001`, `CT.1.2.840.113`."""
    suffix = Path(name).suffix.lower()
    return suffix in _SLICE_SUFFIXES or (
        (not suffix or suffix[1:].isdigit()) and any(map(str.isdigit, name))
    )


def read_dicom(path: Path, *, pixels: bool = True, tags: list[str] | None = None) -> Any:
    """Return a file's dataset; one without its preamble is read all the same.

    What pydicom thinks of values is not said: callers check those that they use.

    Args:
        path: The file.
        pixels: Whether to read the pixel data too.
        tags: Names of the only attributes to read.

    Raises:
        pydicom.errors.InvalidDicomError: It is no DICOM.
        Exception: It is damaged; pydicom has many kinds.
    """
    package = pydicom()
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not _is_dicom(head):
        raise package.errors.InvalidDicomError("neither a preamble nor a first data element")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        dataset = package.dcmread(
            path, stop_before_pixels=not pixels, specific_tags=tags, force=True
        )
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        uid = package.uid
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _is_dicom(head: bytes) -> bool:
    if head[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        return True
    # An element number and a length are small numbers, so that text does not look so.
    return len(head) >= 8 and head[:2] in _FIRST_GROUPS and head[3] == 0
