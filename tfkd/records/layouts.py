"""How the public CT cohorts lay out their files: LiTS17, KiTS19 and nnU-Net / MSD folders."""

import re
from collections.abc import Iterable
from pathlib import Path

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source, natural_key
from tfkd.records.left_out import loose_images, name_in
from tfkd.volumes import IDENTITY_AFFINE

__all__ = ["find_kits19", "find_lits17", "looks_like_kits19", "looks_like_lits17"]

LITS17_WINDOW_HU = (-60.0, 140.0)  # Qin et al., IEEE TMI 40(12), 2021
KITS19_WINDOW_HU = (-200.0, 300.0)  # the same

# KiTS19 publishes labels for cases 0-209 only; 210-299 are its unlabelled test set.
KITS19_LABELLED_CASES = 210

# Some archives and file systems make upper case of the names.
_LITS17_FILE = re.compile(r"(volume|segmentation)-(\d+)\.nii(\.gz)?", re.IGNORECASE)
_LITS17_TEST_FILE = re.compile(r"test-volume-\d+\.nii(\.gz)?", re.IGNORECASE)
_KITS19_CASE = re.compile(r"case_(\d{5})", re.IGNORECASE)
_KITS19_FILE = re.compile(r"(imaging|segmentation)\.nii(\.gz)?", re.IGNORECASE)


def _lits17_files(root: Path) -> dict[str, dict[str, list[Path]]]:
    """Number -> {"volume": files, "segmentation": files}, in `root` and one folder below it.

    The challenge distributes "Training Batch 1" and "2"; mirrors put images and masks in folders.
    """
    found: dict[str, dict[str, list[Path]]] = {}
    for path in sorted([*root.glob("[!.]*"), *root.glob("[!.]*/[!.]*")]):
        match = _LITS17_FILE.fullmatch(path.name)
        if match and path.is_file():
            kinds = found.setdefault(match.group(2), {"volume": [], "segmentation": []})
            kinds[match.group(1).lower()].append(path)
    return found


def looks_like_lits17(root: Path) -> bool:
    """Whether the folder holds ``volume-N.nii[.gz]`` or ``segmentation-N.nii[.gz]``."""
    return bool(_lits17_files(root))


def find_lits17(root: Path, keep_unlabelled: bool = False) -> Source:
    """Finds the cases of a LiTS17 folder: ``volume-N.nii[.gz]`` and ``segmentation-N.nii[.gz]``.

    Args:
        root: The folder with the files, or the folder above ("Training Batch 1", ...).
        keep_unlabelled: Whether a volume without mask is a case without mask, not an error.

    Returns:
        The source, its cases in the order of their numbers. Files of other names, such as those of
        the challenge's test set, are in its `left_out`.

    Raises:
        RecordError: If a volume lacks its mask or a mask its volume, if a number occurs twice,
            or if there is nothing.
    """
    cases = []
    for number, kinds in sorted(_lits17_files(root).items(), key=lambda item: int(item[0])):
        case_id = f"volume-{number}"
        for kind, what in (("volume", "the CT"), ("segmentation", "the mask")):
            other = kinds["segmentation" if kind == "volume" else "volume"]
            if not kinds[kind] and not (kind == "segmentation" and keep_unlabelled):
                raise missing_file(case_id, what, other[0].parent / f"{kind}-{number}.nii.gz")
            if len(kinds[kind]) > 1:
                raise RecordError(
                    f"case {case_id}: expected one {kind} file, found "
                    f"{', '.join(map(str, kinds[kind]))}. Remove all but one."
                )
        mask = kinds["segmentation"][0] if kinds["segmentation"] else None
        cases.append(CaseFiles(case_id, kinds["volume"][0], mask, case_id))
    return Source(
        name="lits17",
        root=root,
        cases=_some(cases, root, "volume-N.nii.gz and segmentation-N.nii.gz"),
        label_names=("background", "liver", "tumour"),
        window_hu=LITS17_WINDOW_HU,
        identity_affine=IDENTITY_AFFINE,
        left_out=_lits17_left_out(root, cases),
    )


def _lits17_left_out(root: Path, cases: list[CaseFiles]) -> dict[str, str]:
    found = {}
    for path in loose_images(root, _files_of(cases)):
        if _LITS17_TEST_FILE.fullmatch(path.name):
            reason = "of the challenge's test set, without masks, see --unlabelled"
        elif _LITS17_FILE.fullmatch(path.name):
            reason = "more than one folder below"
        else:
            reason = "not named volume-N.nii.gz or segmentation-N.nii.gz"
        found[name_in(root, path)] = reason
    return found


def _kits19_folders(root: Path) -> list[Path]:
    """The ``case_NNNNN`` folders in `root` itself and in its ``data`` folder."""
    found = [*root.glob("[!.]*"), *(root / "data").glob("[!.]*")]
    return sorted(p for p in found if _KITS19_CASE.fullmatch(p.name) and p.is_dir())


def looks_like_kits19(root: Path) -> bool:
    """Whether the folder holds ``case_NNNNN`` or ``data/case_NNNNN`` folders."""
    return bool(_kits19_folders(root))


def find_kits19(root: Path, keep_unlabelled: bool = False) -> Source:
    """Finds the cases of a KiTS19 folder: ``data/case_00000/{imaging,segmentation}.nii.gz``.

    Args:
        root: The folder with ``data``, or the folder with the ``case_NNNNN`` folders.
        keep_unlabelled: Whether a CT without mask is a case without mask.

    Returns:
        The source. Cases from 210 on without a mask are the challenge's test set, and in its
        `left_out` unless cases without mask are kept; so are image files beside the cases.

    Raises:
        RecordError: If a CT or a mask is missing or there twice, or if there is nothing.
    """
    cases = []
    left_out = {}
    folders = _kits19_folders(root)
    for folder in folders:
        files = _kits19_files(folder)
        image, mask = files["imaging"], files["segmentation"]
        number = int(folder.name[-5:])
        if image and not mask and number >= KITS19_LABELLED_CASES and not keep_unlabelled:
            left_out[name_in(root, image)] = (
                "of the challenge's test set, without a mask, see --missing-masks keep"
            )
            continue
        if image is None:
            raise missing_file(folder.name, "the CT", folder / "imaging.nii.gz")
        if mask is None and not keep_unlabelled:
            raise missing_file(folder.name, "the mask", folder / "segmentation.nii.gz")
        cases.append(CaseFiles(folder.name, image, mask, folder.name))
    # Further files of a case, such as KiTS21's masks by several raters, are nobody's CT.
    for path in loose_images(root, _files_of(cases), depth=3, unseen=folders):
        left_out[name_in(root, path)] = "not in a folder case_NNNNN"
    return Source(
        name="kits19",
        root=root,
        cases=_some(cases, root, "data/case_00000/imaging.nii.gz and segmentation.nii.gz"),
        label_names=("background", "kidney", "tumour"),
        window_hu=KITS19_WINDOW_HU,
        left_out=left_out,
    )


def _kits19_files(folder: Path) -> dict[str, Path | None]:
    """CT and mask of a case; None for one that is not there."""
    found: dict[str, Path | None] = {"imaging": None, "segmentation": None}
    for path in sorted(folder.iterdir()):
        match = _KITS19_FILE.fullmatch(path.name)
        if not match or not path.is_file():
            continue
        kind = match.group(1).lower()
        if (other := found[kind]) is not None:
            raise RecordError(
                f"case {folder.name}: expected one {kind} file, found {other} and {path}. Remove "
                f"one of them."
            )
        found[kind] = path
    return found


def _files_of(cases: Iterable[CaseFiles]) -> list[Path]:
    return [path for case in cases for path in (case.image, case.mask) if path is not None]


def missing_file(case_id: str, what: str, path: Path, listed: str = "") -> RecordError:
    """The error for a case whose CT or mask is not there; `listed` says where it is listed."""
    keep = "" if what == "the CT" else ", or keep it as unlabelled CT (--missing-masks keep)"
    if listed:
        return RecordError(
            f"case {case_id}: {what} is missing, expected at {path} by {listed}. Add the file, or "
            f"correct the entry{keep}."
        )
    return RecordError(
        f"case {case_id}: {what} is missing, expected at {path}. "
        f"Add the file, or move the case out of the folder{keep}."
    )


def _some(cases: Iterable[CaseFiles], root: Path, expected: str) -> tuple[CaseFiles, ...]:
    ordered = tuple(sorted(cases, key=lambda case: natural_key(case.case_id)))
    if not ordered:
        raise RecordError(f"{root}: expected {expected}, found no labelled case.")
    return ordered
