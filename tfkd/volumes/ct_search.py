"""Which CTs lie at a path, and what lies there besides."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tfkd.errors import GeometryError
from tfkd.volumes.dicom_file import dicom_kind, named_as_a_slice
from tfkd.volumes.label_content import holds_labels

__all__ = ["CTSearch", "LeftOut", "no_ct", "search_cts"]

_MASK = "mask"
_PROBABILITY = "probability map"
_HIDDEN = "hidden file or folder"
_OTHER = "file that is neither NIfTI nor DICOM"
_NO_CT = "DICOM file that is not a CT"
_EMPTY = "empty folder"
_CLOSED = "folder that cannot be read"
_CIRCLE = "link to a folder above it"
_BROKEN = "broken link"

# What `tfkd predict` writes beside a mask.
_OF_PROBABILITIES = re.compile(r"_mask_p\d+_[\w.-]+\.nii(\.gz)?$", re.IGNORECASE)
# Names of masks and of their folders, for files whose voxels do not tell.
_OF_A_MASK = re.compile(r"(^|[_.-])(masks?|seg|segmentation|labels?)[_.-]?\d*\.nii(\.gz)?$", re.I)
_FOLDERS_OF_MASKS = ("labelstr", "labelsts", "labels", "masks", "segmentations")
_SHOWN = 3


@dataclass(frozen=True)
class LeftOut:
    """Something at a path that is no CT.

    Attributes:
        path: The file or folder.
        reason: What it is, in the singular, such as "mask".
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class CTSearch:
    """What lies at a path.

    Attributes:
        cts: NIfTI files and folders of a DICOM series, in order of their names.
        left_out: All else.
    """

    cts: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]

    def lines(self) -> list[str]:
        """One line for each reason: `left out: 2 masks (a_mask.nii, b_mask.nii)`."""
        by_reason = sorted(self.left_out, key=lambda left: left.reason)
        return [
            _line(reason, [left.path for left in group])
            for reason, group in groupby(by_reason, key=lambda left: left.reason)
        ]


def search_cts(path: str | Path) -> CTSearch:
    """Return the CTs at a path, and all that is left out with its reason.

    A folder stands for all CTs in it and in its subfolders: each NIfTI file, in upper case too, and
    each folder that holds the files of a DICOM series itself. Left out are masks, probabilities,
    hidden files, files of other kinds, DICOM of other kinds and empty folders. Other files within a
    DICOM series are told by `DicomSlices`.

    A NIfTI file is a mask if its voxels are labels: few whole numbers, none below 0, alike in
    neighbouring voxels. Its name, or its folder's, decides only where the voxels do not tell,
    as in a damaged file.

    Args:
        path: A file, which need not exist, or a folder.
    """
    path = Path(path)
    if path.is_dir():
        cts, left_out = _in_folder(path, ())
    elif path.is_file() and _is_nifti(path) and holds_labels(path):
        cts, left_out = [], [LeftOut(path, _MASK)]
    else:
        cts, left_out = [path], []
    return CTSearch(tuple(cts), tuple(left_out))


def no_ct(path: Path, search: CTSearch) -> GeometryError:
    """Return the error for a path at which there is no CT."""
    found = "; ".join(line.removeprefix("left out: ") for line in search.lines())
    return GeometryError(
        f"{path}: expected a CT: NIfTI files, the files of a DICOM series, or folders of such. "
        f"Received {found or 'nothing'}. Give the folder or the files of the CTs."
    )


def _in_folder(folder: Path, above: tuple[str, ...]) -> tuple[list[Path], list[LeftOut]]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return [], [LeftOut(folder, _CLOSED)]
    left_out = [LeftOut(entry, _HIDDEN) for entry in entries if _is_worth_a_word(entry)]
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    if not entries:
        return [], left_out or [LeftOut(folder, _EMPTY)]
    folders = [entry for entry in entries if entry.is_dir()]
    files = [entry for entry in entries if not entry.is_dir()]
    volumes = [file for file in files if _is_nifti(file)]
    cts = []
    for volume in volumes:
        if reason := _of_a_mask(volume):
            left_out.append(LeftOut(volume, reason))
        else:
            cts.append(volume)
    others = [file for file in files if not _is_nifti(file)]
    if _is_series(others, alone=not volumes):
        cts.append(folder)
    else:
        left_out += [LeftOut(file, _kind(file)) for file in others]
    here = os.path.realpath(folder)
    for entry in folders:
        if os.path.realpath(entry) in (*above, here):
            left_out.append(LeftOut(entry, _CIRCLE))
            continue
        more, more_left_out = _in_folder(entry, (*above, here))
        cts += more
        left_out += more_left_out
    return cts, left_out


def _is_nifti(file: Path) -> bool:
    return file.name.lower().endswith((".nii", ".nii.gz"))


def _is_worth_a_word(entry: Path) -> bool:
    """Whether a hidden entry might have been meant: not the notes of a file manager."""
    if not entry.name.startswith("."):
        return False
    # Copies that were broken off too: `.ct.nii.gz.Xa81`.
    return entry.is_dir() or any(part in entry.name.lower() for part in (".nii", ".dcm"))


def _of_a_mask(file: Path) -> str | None:
    """Return what the file is if it is no CT; one that cannot be opened is tried as a CT."""
    if _OF_PROBABILITIES.search(file.name):
        return _PROBABILITY
    is_mask = holds_labels(file)
    if is_mask is None:
        of_folder = file.parent.name.lower() in _FOLDERS_OF_MASKS
        is_mask = of_folder or _OF_A_MASK.search(file.name) is not None
    return _MASK if is_mask else None


def _is_series(files: Iterable[Path], *, alone: bool) -> bool:
    """Whether the files of a folder are a series, or should be: opening it tells what is wrong."""
    kinds = {}
    for file in files:
        kinds[file] = dicom_kind(file)
        if kinds[file] == "ct":
            return True
    return alone and any(
        kind is None and file.is_file() and named_as_a_slice(file.name)
        for file, kind in kinds.items()
    )


def _kind(file: Path) -> str:
    if not file.exists():
        return _BROKEN
    return _OTHER if dicom_kind(file) is None else _NO_CT


def _line(reason: str, paths: list[Path]) -> str:
    shown = ", ".join(map(str, paths[:_SHOWN]))
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"left out: {_counted(len(paths), reason)} ({shown}{more})"


def _counted(number: int, reason: str) -> str:
    if number == 1:
        return f"1 {reason}"
    plurals = {
        _HIDDEN: "hidden files or folders",
        "CT that was given twice": "CTs that were given twice",
        _OTHER: "files that are neither NIfTI nor DICOM",
        _NO_CT: "DICOM files that are not a CT",
        _CLOSED: "folders that cannot be read",
        _CIRCLE: "links to folders above them",
    }
    return f"{number} {plurals.get(reason, f'{reason}s')}"
