"""The lists of cases in a ``dataset.json``: entries of every form that is in use."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.errors import RecordError
from tfkd.files import kind_of

__all__ = ["ListedCase", "case_lists", "read_entries"]

_IMAGE_KEYS = ("image", "images")


@dataclass(frozen=True)
class ListedCase:
    """One entry of a list.

    Attributes:
        where: List and place, for messages: ``'training', entry 2``.
        name: The case's name where the list gives one, or None.
        image: Path of the CT; the file may be missing.
        mask: Path of the mask, which may be missing, or None where the entry has none.
    """

    where: str
    name: str | None
    image: Path
    mask: Path | None


def case_lists(facts: dict[str, Any]) -> dict[str, Any]:
    """The lists of cases by their keys: the known ones, and whatever else looks like one."""
    known = {"training", "dataset", "validation", "test"}
    return {
        key: value
        for key, value in facts.items()
        if value is not None and (key in known or _looks_like_cases(value))
    }


def _looks_like_cases(value: Any) -> bool:
    entries = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(entries, list) or not entries:
        return False
    return all(isinstance(one, dict) and any(key in one for key in _IMAGE_KEYS) for one in entries)


def read_entries(key: str, value: Any, root: Path) -> list[ListedCase]:
    """Reads one list: of ``{"image": ..., "label": ...}``, of image paths, or name to either.

    Args:
        key: The list's key.
        value: The list.
        root: The folder of the ``dataset.json``, to which paths are relative.

    Raises:
        RecordError: If the list or an entry has another form; names file, list and entry.
    """
    path = root / "dataset.json"
    if not isinstance(value, dict | list):
        raise RecordError(
            f"{path}: {key!r}: expected a list of cases, received {kind_of(value)}. Give "
            f'[{{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}}, ...].'
        )
    return [
        _read_entry(f"{key!r}, entry {mark}", name, entry, root)
        for mark, name, entry in _entries(value)
    ]


def _entries(value: Any) -> Iterator[tuple[str, str | None, Any]]:
    if isinstance(value, dict):
        yield from ((repr(name), name, entry) for name, entry in value.items())
    else:
        yield from ((str(place), None, entry) for place, entry in enumerate(value))


def _read_entry(where: str, name: str | None, entry: Any, root: Path) -> ListedCase:
    if isinstance(entry, str):
        entry = {"image": entry}
    if not isinstance(entry, dict):
        raise RecordError(
            f'{root / "dataset.json"}: {where}: expected {{"image": ..., "label": ...}}, received '
            f"{kind_of(entry)}."
        )
    image = next((entry[key] for key in _IMAGE_KEYS if entry.get(key)), None)
    if isinstance(image, list) and len(image) > 1:
        raise RecordError(
            f"{root / 'dataset.json'}: {where}: expected one image (CT), received {len(image)}: "
            f"{', '.join(map(str, image))}. Keep the CT alone."
        )
    paths = {"image": image, "label": entry.get("label")}
    for part, given in paths.items():
        if isinstance(given, list) and len(given) == 1:
            given = paths[part] = given[0]
        if not isinstance(given, str | None):
            raise RecordError(
                f"{root / 'dataset.json'}: {where}: {part!r}: expected the path of a file, "
                f"received {kind_of(given)}."
            )
    if not paths["image"]:
        raise RecordError(
            f"{root / 'dataset.json'}: {where}: names no image. Expected "
            f'{{"image": ..., "label": ...}}, received the keys {", ".join(entry) or "none"}.'
        )
    mask = paths["label"]
    return ListedCase(
        where, name, _below(root, paths["image"]), _below(root, mask) if mask else None
    )


def _below(root: Path, given: str) -> Path:
    path = root / given
    if "\\" in given and not os.path.isfile(path):  # written on Windows
        return root / given.replace("\\", "/")
    return path
