"""nnU-Net v2 and Medical Segmentation Decathlon folders, described by a ``dataset.json``."""

import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source, natural_key
from tfkd.records.dataset_file import check_one_channel, file_ending, read_dataset_file
from tfkd.records.dataset_labels import read_labels
from tfkd.records.dataset_lists import ListedCase, case_lists, read_entries
from tfkd.records.layouts import missing_file
from tfkd.records.left_out import loose_images, name_in

__all__ = ["find_nnunet", "looks_like_nnunet"]

ABDOMEN_WINDOW_HU = (-160.0, 240.0)  # the radiologist's soft-tissue window: level 40, width 400

_NIFTI = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_CHANNEL = "_0000"  # nnU-Net's suffix of the first, and here the only, image channel
_OF_TEST = {
    "imagesTs": "in imagesTs, see --unlabelled",
    "labelsTs": "in labelsTs, read only if listed under 'test'",
}


def looks_like_nnunet(root: Path) -> bool:
    """Whether the folder holds a ``dataset.json``."""
    return (root / "dataset.json").is_file()


def find_nnunet(root: Path, keep_unlabelled: bool = False) -> Source:
    """Finds the labelled cases of an nnU-Net v2 or MSD folder.

    Both forms of ``labels`` are read: name to value (nnU-Net) and value to name (MSD), and
    nnU-Net's ``ignore``. Cases come from the lists ``training`` (MSD) or ``dataset`` (nnU-Net)
    where there is one, else from ``imagesTr/NAME_0000<ending>`` and ``labelsTr/NAME<ending>``.
    The cases of the lists ``validation`` and ``test`` that have masks are for these splits.

    Args:
        root: The folder with ``dataset.json``.
        keep_unlabelled: Whether an image without mask is a case without mask, not an error.
            ``imagesTs`` is never looked at.

    Returns:
        The source, named after the folder. What else lies there, or is listed without a mask
        under ``test``, is in its `left_out`.

    Raises:
        RecordError: If ``dataset.json`` is missing or unreadable, if there is more than one image
            channel, if labels are regions or not 0, 1, 2, ..., if an entry of a list is not of a
            known form or two are of one case, or if a file is missing. Names file and entry.

    Warns:
        UserWarning: If the channel is not called CT, or if ``numTraining`` is another number.
    """
    path = root / "dataset.json"
    facts = read_dataset_file(path)
    check_one_channel(facts, path)
    ending = file_ending(facts, path)
    label_names, ignored_label = read_labels(facts.get("labels"), path)
    lists = {key: read_entries(key, value, root) for key, value in case_lists(facts).items()}
    if {"training", "dataset"} <= lists.keys():
        raise RecordError(
            f"{path}: lists cases under both 'training' and 'dataset'. Expected one of them; "
            f"remove the other."
        )
    cases: dict[str, CaseFiles] = {}
    by_image: dict[Path, CaseFiles] = {}
    left_out: dict[str, str] = {}
    split_of: dict[str, list[str]] = {"training": [], "validation": [], "test": []}
    training = lists.pop("training", lists.pop("dataset", None))
    if training is None:
        # A list of its own takes its cases out of the folders.
        others = {
            _with_channel(e.image) for key in ("validation", "test") for e in lists.get(key, ())
        }
        training = [entry for entry in _from_folders(root, ending) if entry.image not in others]
    for key, entries in {"training": training, **lists}.items():
        if key not in split_of:
            reason = f"in the list {key!r}, which is not read"
            left_out |= {name_in(root, _with_channel(entry.image)): reason for entry in entries}
            continue
        for entry in entries:
            if key == "test" and (entry.mask is None or not os.path.isfile(entry.mask)):
                left_out[name_in(root, _with_channel(entry.image))] = (
                    "in the list 'test' without a mask, see --unlabelled"
                )
                continue
            case = _case_of(entry, path, keep_unlabelled)
            _check_new(case, cases, by_image, entry, path)
            cases[case.case_id] = by_image[case.image] = case
            split_of[key].append(case.case_id)
    if not cases:
        raise _none_found(root, ending, listed="training" in facts or "dataset" in facts)
    _check_number(facts, split_of, path)
    left_out |= _beside(root, cases.values(), left_out, listed=bool(case_lists(facts)))
    ordered = sorted(cases.values(), key=lambda case: natural_key(case.case_id))
    with_mask = {case.case_id for case in ordered if case.mask is not None}
    return Source(
        name=_dataset_name(root),
        root=root,
        cases=tuple(ordered),
        label_names=label_names,
        window_hu=ABDOMEN_WINDOW_HU,
        ignored_label=ignored_label,
        validation_cases=tuple(c for c in split_of["validation"] if c in with_mask),
        test_cases=tuple(split_of["test"]),
        left_out=left_out,
    )


def _dataset_name(root: Path) -> str:
    # The name that the user gave: a link's own, and not what it leads to.
    words = re.sub(r"[^a-z0-9]+", "_", Path(os.path.abspath(root)).name.lower()).strip("_")
    return words if words[:1].isalpha() else f"dataset_{words}".strip("_")


def _case_of(entry: ListedCase, path: Path, keep_unlabelled: bool) -> CaseFiles:
    """The case of an entry, its files there."""
    image, mask = _with_channel(entry.image), entry.mask
    if mask is None and not keep_unlabelled:
        raise RecordError(
            f"{path}: {entry.where}: names no label for {entry.image}. Expected "
            f'{{"image": ..., "label": ...}}; add it, or keep the CT as unlabelled '
            f"(--missing-masks keep)."
        )
    named_after = mask if mask is not None else entry.image
    name = entry.name or _NIFTI.sub("", named_after.name)
    if entry.name is None and mask is None:
        name = name.removesuffix(_CHANNEL)
    unlabelled = keep_unlabelled and (mask is None or not os.path.isfile(mask))
    for file, what in ((image, "the CT"), (mask, "the mask")):
        if file is not None and not os.path.isfile(file) and not (file == mask and unlabelled):
            listed = f"{path}, {entry.where}" if entry.where else ""
            raise missing_file(name, what, file, listed)
    return CaseFiles(name, image, None if unlabelled else mask, name)


def _check_new(
    case: CaseFiles,
    cases: dict[str, CaseFiles],
    by_image: dict[Path, CaseFiles],
    entry: ListedCase,
    path: Path,
) -> None:
    """Raises if an earlier entry has the same name or the same CT."""
    other = cases.get(case.case_id) or by_image.get(case.image)
    if other is None:
        return
    where = f"{path}: {entry.where}: " if entry.where else ""
    if (case.case_id, case.image, case.mask) == (other.case_id, other.image, other.mask):
        raise RecordError(
            f"{where}case {case.case_id} is listed twice. Expected each case once, in one of the "
            f"lists. Remove one of its entries."
        )
    what = "the name" if case.case_id == other.case_id else "the CT"
    raise RecordError(
        f"{where}case {case.case_id} ({case.image}, {case.mask}) has {what} of another case, "
        f"{other.case_id} ({other.image}, {other.mask}). Expected each case once, under a name of "
        f"its own. Remove or rename one."
    )


def _with_channel(image: Path) -> Path:
    """The image, or what nnU-Net v1 lists without its channel suffix."""
    ending = _NIFTI.search(image.name)
    if os.path.isfile(image) or ending is None:
        return image
    named = image.with_name(f"{image.name[: ending.start()]}{_CHANNEL}{ending.group()}")
    return named if os.path.isfile(named) else image


def _from_folders(root: Path, ending: str | None) -> list[ListedCase]:
    """The pairs of ``imagesTr`` and ``labelsTr``; the missing half has the path it should have."""
    images: dict[str, list[Path]] = {}
    masks: dict[str, list[Path]] = {}
    for found, folder, suffix in ((images, "imagesTr", _CHANNEL), (masks, "labelsTr", "")):
        for file in sorted((root / folder).glob("[!.]*")):
            match = _NIFTI.search(file.name)
            stem = file.name[: match.start()] if match else ""
            if not match or (ending and match.group().lower() != ending):
                continue
            if stem.endswith(suffix):
                found.setdefault(stem.removesuffix(suffix), []).append(file)
    entries = []
    for name in sorted(images.keys() | masks.keys(), key=natural_key):
        for files in (images.get(name, []), masks.get(name, [])):
            if len(files) > 1:
                raise RecordError(
                    f"case {name}: expected one file, found {', '.join(map(str, files))}. Remove "
                    f"all but one."
                )
        suffix = ending or ".nii.gz"
        image = images.get(name, [root / "imagesTr" / f"{name}{_CHANNEL}{suffix}"])[0]
        mask = masks.get(name, [root / "labelsTr" / f"{name}{suffix}"])[0]
        entries.append(ListedCase("", name, image, mask))
    return entries


def _none_found(root: Path, ending: str | None, listed: bool) -> RecordError:
    if listed:
        return RecordError(
            f"{root / 'dataset.json'}: lists no labelled case. Expected entries "
            f'{{"image": ..., "label": ...}}, found no labelled case.'
        )
    other = sorted(file.name for file in (root / "imagesTr").glob("[!.]*"))
    found = f"; imagesTr holds {other[0]}" if other else ""
    suffix = ending or ".nii.gz"
    return RecordError(
        f"{root}: expected imagesTr/NAME_0000{suffix} and labelsTr/NAME{suffix}, found no labelled "
        f"case{found}. Rename the files, or correct 'file_ending' in dataset.json."
    )


def _check_number(facts: dict[str, Any], split_of: dict[str, list[str]], path: Path) -> None:
    """Warns if the file counts otherwise."""
    stated = facts.get("numTraining")
    training = len(split_of["training"])
    if stated is not None and str(stated) not in {
        str(training),
        str(training + len(split_of["validation"])),
        str(sum(map(len, split_of.values()))),
    }:
        warnings.warn(
            f"{path}: 'numTraining' is {stated!r}, but there are {training} training cases. All "
            f"of these are taken; check that none is missing.",
            UserWarning,
            stacklevel=3,
        )


def _beside(
    root: Path, cases: Iterable[CaseFiles], known: dict[str, str], *, listed: bool
) -> dict[str, str]:
    """Reason of each image file that is no case's and not yet in `known`."""
    used = [file for case in cases for file in (case.image, case.mask) if file is not None]
    found = {}
    for file in loose_images(root, used):
        name = name_in(root, file)
        folder = name.split("/")[0]
        if name in known:
            continue
        if folder in _OF_TEST:
            found[name] = _OF_TEST[folder]
        elif listed:
            found[name] = "in no list of dataset.json"
        elif folder == "imagesTr":
            found[name] = f"in imagesTr, not named NAME{_CHANNEL} with the file ending"
        else:
            found[name] = "not in imagesTr or labelsTr"
    return found
