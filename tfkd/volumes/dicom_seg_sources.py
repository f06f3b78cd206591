"""The slices of a CT as a DICOM SEG refers to them, with what the standard asks for filled in."""

import contextlib
import datetime
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfkd.errors import GeometryError
from tfkd.volumes.dicom_file import CT_CLASSES, pydicom, read_dicom
from tfkd.volumes.dicom_header import as_text
from tfkd.volumes.dicom_slices import DicomSlices

__all__ = ["seg_sources"]

# Attributes that a DICOM SEG takes over from the CT, and that may be empty (type 2).
_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"),
    *("StudyTime", "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator"),
)
# UIDs without which nothing can be referred to (type 1), and what one is the same for.
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")


def seg_sources(ct: DicomSlices) -> list[Any]:
    """Return the headers of a CT's slices, complete enough for a DICOM SEG that refers to them.

    Attributes that may be empty are so where they are absent or hold nonsense. A slice's class and
    UID come from the head of its file where the slice itself has none. UIDs of the study, the
    series and the frame of reference that are absent are made from those of the slices, so that all
    masks of one CT have the same. A `UserWarning` says what was made up or dropped.

    Args:
        ct: The CT, in the order of its slices.

    Raises:
        GeometryError: A slice has no UID at all, two have the same, or they are of several studies
            or frames of reference.
    """
    made: dict[str, None] = {}
    with warnings.catch_warnings():
        # What pydicom thinks of values, once for each slice.
        warnings.simplefilter("ignore", UserWarning)
        sources = [_complete(path, ct, made) for path in ct.files]
        uids = [str(source.SOPInstanceUID) for source in sources]
        counts = Counter(uids)
        for path, uid in zip(ct.files, uids, strict=True):
            if not uid or counts[uid] > 1:
                raise GeometryError(
                    f"Case {ct.case_id!r}, file {path}, tag SOPInstanceUID: expected a UID of its "
                    f"own, to which a DICOM SEG can refer. Received {uid or 'none'}. Write a NIfTI "
                    "mask."
                )
        for tag in _UIDS:
            _one_uid(tag, sources, uids, ct, made)
        for tag in (*_UIDS, "SOPInstanceUID"):
            if not all(source[tag].value.is_valid for source in sources):
                made[f"{tag} is kept although it is not a valid UID"] = None
        for tag in _MAY_BE_EMPTY:
            if len({as_text(source, tag) for source in sources}) > 1:
                made[f"{tag} is that of the first slice, though others differ"] = None
    if made:
        warnings.warn(
            f"Case {ct.case_id!r}: attributes of the slices are missing or invalid. In the "
            f"DICOM SEG, {'; '.join(made)}.",
            UserWarning,
            stacklevel=4,
        )
    return sources


def _complete(path: Path, ct: DicomSlices, made: dict[str, None]) -> Any:
    """Return one header; adds to `made` what was made up.

    Raises:
        GeometryError: An attribute is damaged.
    """
    try:
        return _source(path, ct, made)
    except Exception as error:  # pydicom converts values when asked for, and raises many kinds
        raise GeometryError(
            f"Case {ct.case_id!r}, file {path}: an attribute that a DICOM SEG needs is damaged "
            f"({error}). Write a NIfTI mask, or fetch the file again."
        ) from error


def _source(path: Path, ct: DicomSlices, made: dict[str, None]) -> Any:
    source = read_dicom(path, pixels=False)
    _simplify_characters(source)
    for tag in _MAY_BE_EMPTY:
        if tag not in source:
            setattr(source, tag, "")
        elif as_text(source, tag) and not _is_sane(tag, as_text(source, tag)):
            setattr(source, tag, "")
            made[f"{tag} is left empty because its value is invalid"] = None
    if not as_text(source, "SOPInstanceUID"):
        uid = as_text(source.file_meta, "MediaStorageSOPInstanceUID")
        source.add_new("SOPInstanceUID", "UI", uid)
        made["SOPInstanceUID comes from the file meta information"] = None
    if not as_text(source, "SOPClassUID"):
        of_file = as_text(source.file_meta, "MediaStorageSOPClassUID")
        of_class = of_file if of_file in CT_CLASSES else CT_CLASSES[0]
        source.add_new("SOPClassUID", "UI", of_class)
        made["SOPClassUID is CT Image Storage"] = None
    source.add_new("Modality", "CS", "CT")
    if not _is_thickness(as_text(source, "SliceThickness")):
        source.add_new("SliceThickness", "DS", round(ct.spacing_mm[0], 6))
        made["SliceThickness is the distance between slices"] = None
    return source


def _simplify_characters(source: Any) -> None:
    """Some scanners leave the set empty, which the standard takes for ASCII; others name several.

    highdicom wants one that it knows.
    """
    if "SpecificCharacterSet" not in source:
        return
    stated = source.SpecificCharacterSet
    if not stated:
        del source.SpecificCharacterSet
    elif not isinstance(stated, str) or stated not in pydicom().charset.python_encoding:
        with contextlib.suppress(ValueError, TypeError):  # of values that are no text
            source.decode()
        source.SpecificCharacterSet = "ISO_IR 192"  # UTF-8


def _is_thickness(value: str) -> bool:
    try:
        return 0 < float(value) < float("inf")
    except ValueError:
        return False


def _one_uid(
    tag: str, sources: list[Any], uids: list[str], ct: DicomSlices, made: dict[str, None]
) -> None:
    """See that all slices have one UID of this kind, and make one where none has any."""
    # A value that cannot be read counts as absent, and is replaced without being read.
    found = {as_text(source, tag) for source in sources} - {""}
    if len(found) > 1:
        raise GeometryError(
            f"Case {ct.case_id!r}, tag {tag}: expected one for all slices, since a DICOM SEG has "
            f"one. Received {len(found)}: {sorted(found)[:3]}. Write a NIfTI mask."
        )
    if not found:
        made[f"{tag} is a new one"] = None
        found = {str(pydicom().uid.generate_uid(entropy_srcs=[tag, *uids]))}
    (uid,) = found
    for source in sources:
        source.add_new(tag, "UI", uid)


def _is_sane(tag: str, value: str) -> bool:
    from pydicom.valuerep import DA, TM

    readers: dict[str, Callable[[str], object]] = {
        "PatientBirthDate": DA,
        "StudyDate": DA,
        "StudyTime": TM,
    }
    if tag == "PatientSex":
        return value in ("M", "F", "O")
    try:
        read = readers.get(tag, str)(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return not isinstance(read, datetime.date) or read.year > 1000
