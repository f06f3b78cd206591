"""nnU-Net v2 and Medical Segmentation Decathlon folders, described by a ``dataset.json``."""

import json
import re
from pathlib import Path
from typing import Any

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source, natural_key
from tfkd.records.layouts import missing_file

__all__ = ["find_nnunet", "looks_like_nnunet"]

ABDOMEN_WINDOW_HU = (-160.0, 240.0)  # the radiologist's soft-tissue window: level 40, width 400


def looks_like_nnunet(root: Path) -> bool:
    """Whether the folder holds a ``dataset.json``."""
    return (root / "dataset.json").is_file()


def find_nnunet(root: Path, keep_unlabelled: bool = False) -> Source:
    """Finds the training cases of an nnU-Net v2 or MSD folder.

    Both forms of ``labels`` are read: name to value (nnU-Net) and value to name (MSD). Cases come
    from the lists ``training`` (MSD) or ``dataset`` (nnU-Net) where there is one, else from
    ``imagesTr/NAME_0000<ending>`` and ``labelsTr/NAME<ending>``.

    Args:
        root: The folder with ``dataset.json``.
        keep_unlabelled: Whether a training image without mask is a case without mask, not an
            error. ``imagesTs`` is never looked at.

    Returns:
        The source, named after the folder.

    Raises:
        RecordError: If ``dataset.json`` is missing or unreadable, if there is more than one image
            channel, if labels are regions or not 0, 1, 2, ..., or if a file is missing.
    """
    path = root / "dataset.json"
    if not path.is_file():
        raise RecordError(f"{path} is missing. Expected the folder of an nnU-Net or MSD dataset.")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecordError(f"{path}: expected JSON, received something else: {error}.") from error
    if not isinstance(facts, dict):
        raise RecordError(f"{path}: expected a JSON object, received a {type(facts).__name__}.")
    channels = facts.get("channel_names") or facts.get("modality") or {"0": "CT"}
    if len(channels) != 1:
        raise RecordError(
            f"{path}: expected one image channel (CT), received {len(channels)}: {channels}."
        )
    return Source(
        name=_dataset_name(root),
        root=root,
        cases=_find_cases(root, facts, keep_unlabelled),
        label_names=_read_labels(facts.get("labels"), path),
        window_hu=ABDOMEN_WINDOW_HU,
    )


def _dataset_name(root: Path) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_")
    return words if words[:1].isalpha() else f"dataset_{words}".strip("_")


def _read_labels(labels: Any, path: Path) -> tuple[str, ...]:
    hint = 'Expected {"background": 0, "liver": 1, ...} or {"0": "background", "1": "liver", ...}.'
    if not isinstance(labels, dict) or not labels:
        raise RecordError(f"{path}: 'labels' is missing or empty. {hint}")
    if all(isinstance(value, int) for value in labels.values()):
        names = {value: str(name) for name, value in labels.items()}
    elif all(isinstance(n, str) and str(v).isdecimal() for v, n in labels.items()):
        names = {int(value): name for value, name in labels.items()}
    else:
        raise RecordError(
            f"{path}: labels {labels} are not one value per name (region-based labels are not "
            f"supported). {hint}"
        )
    if sorted(names) != list(range(len(labels))):
        raise RecordError(
            f"{path}: expected label values 0, 1, 2, ... without gaps, received "
            f"{sorted(labels.items(), key=str)}. {hint}"
        )
    return tuple(names[value] for value in sorted(names))


def _find_cases(root: Path, facts: dict[str, Any], keep_unlabelled: bool) -> tuple[CaseFiles, ...]:
    ending = str(facts.get("file_ending", ".nii.gz"))
    if isinstance(facts.get("training"), list):
        pairs = _from_training_list(root, facts["training"], ending)
    elif isinstance(facts.get("dataset"), dict):
        pairs = {
            name: (root / entry["images"][0], root / entry["label"])
            for name, entry in facts["dataset"].items()
        }
    else:
        pairs = _from_folders(root, ending)
    cases = []
    for name, (image, mask) in sorted(pairs.items(), key=lambda item: natural_key(item[0])):
        unlabelled = keep_unlabelled and not mask.is_file()
        for path, what in ((image, "the CT"), (mask, "the mask")):
            if not path.is_file() and not (path == mask and unlabelled):
                raise missing_file(name, what, path)
        cases.append(CaseFiles(name, image, None if unlabelled else mask, name))
    if not cases:
        raise RecordError(
            f"{root}: expected imagesTr/NAME_0000{ending} and labelsTr/NAME{ending}, "
            f"found no labelled case."
        )
    return tuple(cases)


def _from_training_list(
    root: Path, training: list[dict[str, str]], ending: str
) -> dict[str, tuple[Path, Path]]:
    pairs = {}
    for entry in training:
        image, mask = root / entry["image"], root / entry["label"]
        # nnU-Net v1 lists the image without its channel suffix.
        with_channel = image.with_name(image.name.removesuffix(ending) + f"_0000{ending}")
        if not image.is_file() and with_channel.is_file():
            image = with_channel
        pairs[mask.name.removesuffix(ending)] = (image, mask)
    return pairs


def _from_folders(root: Path, ending: str) -> dict[str, tuple[Path, Path]]:
    images = {
        path.name.removesuffix(f"_0000{ending}"): path
        for path in (root / "imagesTr").glob(f"*_0000{ending}")
    }
    masks = {
        path.name.removesuffix(ending): path
        for path in (root / "labelsTr").glob(f"*{ending}")
        if not path.name.startswith(".")
    }
    return {
        name: (
            images.get(name, root / "imagesTr" / f"{name}_0000{ending}"),
            masks.get(name, root / "labelsTr" / f"{name}{ending}"),
        )
        for name in images.keys() | masks.keys()
        if not name.startswith(".")
    }
