"""The files of a DICOM series in a folder, with nothing passed over in silence."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfkd.errors import GeometryError
from tfkd.volumes.dicom_file import (
    CT_CLASSES,
    has_preamble,
    named_as_a_slice,
    pydicom,
    read_dicom,
)
from tfkd.volumes.dicom_header import SLICE_TAGS, SliceHeader, as_text, slice_header

__all__ = ["read_series"]

_SHOWN = 3
# Defined terms of DICOM that may lie among CT.
_MODALITIES = (
    *("CT", "MR", "PT", "NM", "US", "CR", "DX", "MG", "RF", "XA", "OT", "SC", "ES", "SM", "OP"),
    *("SEG", "SR", "PR", "KO", "REG", "FID", "RWV", "DOC", "PLAN", "STAIN", "RESP", "ECG"),
    *("RTSTRUCT", "RTDOSE", "RTPLAN", "RTIMAGE", "RTRECORD", "M3D", "ANN"),
)


def read_series(folder: Path, where: str) -> list[SliceHeader]:
    """Return the headers of all CT slices in a folder, in order of their names.

    Files of other kinds are passed over with a `UserWarning` that names them. One that is named
    like the slices must be a slice: an interrupted copy leaves such behind.

    Args:
        folder: Its subfolders are not looked into.
        where: Words for messages: case and folder.

    Raises:
        GeometryError: There is no CT; a file is damaged; or one named like the slices is empty or
            no DICOM.
        ImportError: pydicom is not installed.
    """
    pydicom()  # said before any file is blamed
    slices: list[SliceHeader] = []
    unreadable: dict[Path, str] = {}
    others: dict[Path, str] = {}
    series_of: dict[Path, str] = {}
    guessed: list[Path] = []
    with warnings.catch_warnings():
        # What pydicom thinks of values, once for each slice; those that are used are checked here.
        warnings.simplefilter("ignore", UserWarning)
        for path in _files(folder):
            dataset = _header(path, where)
            if dataset is None:
                unreadable[path] = "empty" if path.stat().st_size == 0 else "no DICOM"
                continue
            kind = _kind(dataset)
            if kind == "CT":
                slices.append(slice_header(dataset, path, where))
                if not as_text(dataset, "Modality"):
                    guessed.append(path)
            elif kind:
                others[path] = kind
                series_of[path] = as_text(dataset, "SeriesInstanceUID")
            else:
                unreadable[path] = "cut short, or with an absent or unknown Modality"
    if not slices:
        raise _no_ct(where, unreadable, others)
    of_slices = {file.series for file in slices} - {""}
    for path in [path for path, series in series_of.items() if series in of_slices]:
        # One series is of one modality: its tag is damaged.
        unreadable[path] = f"of the CT's series, but with the Modality {others.pop(path)}"
    _check_neighbours(where, unreadable, [file.path for file in slices])
    _warn_of_strays(where, unreadable | others)
    bare = [file.path for file in slices if not has_preamble(file.path)]
    _warn(where, bare, "read although the DICOM preamble is missing")
    _warn(where, guessed, "taken for CT although the tag Modality is empty")
    return slices


def _files(folder: Path) -> list[Path]:
    """NIfTI files are CTs of their own."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and not path.name.lower().endswith((".nii", ".nii.gz"))
        and (not path.name.startswith(".") or named_as_a_slice(path.name))
    ]


def _header(path: Path, where: str) -> Any:
    """Return a file's header, None if it is no DICOM."""
    try:
        return read_dicom(path, pixels=False, tags=list(SLICE_TAGS))
    except pydicom().errors.InvalidDicomError:
        return None
    except Exception as error:  # pydicom has many kinds for damaged files
        raise GeometryError(
            f"{where}: {path.name} is damaged or cut short ({error}). Fetch it again."
        ) from error


def _kind(dataset: Any) -> str:
    """Return the modality or the class, "" for a file that states neither, or an unknown one."""
    if modality := as_text(dataset, "Modality").upper():
        return modality if modality in _MODALITIES else ""
    of_class = as_text(dataset, "SOPClassUID") or as_text(
        dataset.file_meta, "MediaStorageSOPClassUID"
    )
    if of_class in CT_CLASSES:
        return "CT"
    if of_class:
        name = str(pydicom().uid.UID(of_class).name)
        return "" if name == of_class else name
    # Nothing but a CT has a place and a rescale to numbers such as -1024.
    is_like_ct = as_text(dataset, "ImagePositionPatient") and as_text(dataset, "RescaleIntercept")
    return "CT" if is_like_ct else ""


def _no_ct(where: str, unreadable: dict[Path, str], others: dict[Path, str]) -> GeometryError:
    if others:
        found = f"DICOM files of {sorted(set(others.values()))}"
    elif unreadable:
        found = f"no DICOM file, but {_listed(unreadable)}"
    else:
        found = "no DICOM file"
    return GeometryError(
        f"{where}: expected the DICOM files of a CT series. Received {found}. Give the folder of "
        "a CT series."
    )


def _check_neighbours(where: str, unreadable: dict[Path, str], slices: list[Path]) -> None:
    damaged = {path: why for path, why in unreadable.items() if _is_like(path, slices)}
    if damaged:
        raise GeometryError(
            f"{where}: expected every file that is named like the slices to be one. Received "
            f"{_listed(damaged)}. Fetch them again, or remove them if they are not slices."
        )


def _is_like(path: Path, slices: Iterable[Path]) -> bool:
    """Whether a file's name is one of the series: the same suffix, or the same but for digits."""
    if path.name.startswith("."):
        return False
    if _suffix(path) and any(_suffix(path) == _suffix(other) for other in slices):
        return True
    without_digits = {re.sub(r"\d+", "0", other.name) for other in slices}
    # Names without a suffix may be checksums, which are alike in nothing.
    bare = not _suffix(path) and any(not _suffix(other) for other in slices)
    return re.sub(r"\d+", "0", path.name) in without_digits or (
        bare and named_as_a_slice(path.name)
    )


def _suffix(path: Path) -> str:
    """Of a file's name; that of a UID is none."""
    suffix = path.suffix.lower()
    return "" if suffix[1:].isdigit() else suffix


def _warn_of_strays(where: str, strays: dict[Path, str]) -> None:
    if strays:
        warnings.warn(
            f"{where}: passed over {_listed(strays)}, which are not slices of a CT."
            if len(strays) > 1
            else f"{where}: passed over {_listed(strays)}, which is not a slice of a CT.",
            UserWarning,
            stacklevel=4,
        )


def _warn(where: str, paths: list[Path], what: str) -> None:
    if paths:
        files = "files were" if len(paths) > 1 else "file was"
        warnings.warn(
            f"{where}: {len(paths)} {files} {what} ({_names(paths)}).", UserWarning, stacklevel=4
        )


def _listed(files: dict[Path, str]) -> str:
    """`2 files: IM3 (empty), README (no DICOM)`; many of one kind in a few words."""
    counts = Counter(files.values())
    groups = [f"{_names([path for path in files if files[path] == why])} ({why})" for why in counts]
    return f"{len(files)} {'files' if len(files) > 1 else 'file'}: {', '.join(groups)}"


def _names(paths: list[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:_SHOWN])
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"
