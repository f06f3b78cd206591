"""The labels of a ``dataset.json``, in the forms that nnU-Net and MSD give them."""

from pathlib import Path
from typing import Any

from tfkd.errors import RecordError
from tfkd.files import kind_of
from tfkd.records.names import check_label_names
from tfkd.volumes import IGNORE_LABEL

__all__ = ["read_labels"]

_HINT = 'Expected {"background": 0, "liver": 1, ...} or {"0": "background", "1": "liver", ...}.'


def read_labels(labels: Any, path: Path) -> tuple[tuple[str, ...], int | None]:
    """Reads ``labels``: name to value (nnU-Net) or value to name (MSD).

    nnU-Net's label ``ignore``, whose value is the highest one, is no class: its voxels belong to
    none, like those of `IGNORE_LABEL`.

    Args:
        labels: The entry of the ``dataset.json``.
        path: Its path, for messages.

    Returns:
        Name of every label value, and the value of ``ignore``, or None.

    Raises:
        RecordError: If names and values are not one to one, the values not 0, 1, 2, ..., or the
            value 0 is not the background.
    """
    if not isinstance(labels, dict) or not labels:
        received = "is missing or empty" if not labels else f"is {kind_of(labels)}"
        raise RecordError(f"{path}: 'labels' {received}. {_HINT}")
    pairs = _names_and_values(labels, path)
    names: dict[int, str] = {}
    for name, value in pairs:
        if value in names:
            raise RecordError(
                f"{path}: label value {value} has two names, {names[value]!r} and {name!r}. {_HINT}"
            )
        names[value] = name
    ignored = _take_ignored(names, path)
    _check_values(names, path)
    ordered = tuple(names[value] for value in range(len(names)))
    check_label_names(ordered, path)
    return ordered, ignored


def _names_and_values(labels: dict[str, Any], path: Path) -> list[tuple[str, int]]:
    if all(isinstance(name, str) and _is_number(value) for value, name in labels.items()):
        return [(name, int(value)) for value, name in labels.items()]
    pairs = []
    for name, value in labels.items():
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, list):
            raise RecordError(
                f"{path}: label {name!r} has the values {value}. Regions that share labels "
                f"(region-based training) are not supported. Expected one value per name; give "
                f"the labels themselves, and score the regions afterwards."
            )
        if isinstance(value, str) and _is_number(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise RecordError(
                f"{path}: label {name!r} has the value {value!r}, which is not a whole number. "
                f"{_HINT}"
            )
        pairs.append((name, value))
    return pairs


def _is_number(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit()


def _take_ignored(names: dict[int, str], path: Path) -> int | None:
    """Takes ``ignore`` out of the names; its value, or None where there is no such label."""
    found = [value for value, name in names.items() if name.strip().lower() == "ignore"]
    if not found:
        return None
    value, highest = found[0], max(names)
    if len(found) > 1 or value != highest or value == 0:
        raise RecordError(
            f"{path}: label {names[value]!r} has the value {value}. Expected the highest value for "
            f"it, as in nnU-Net: voxels to ignore belong to no class. Received values up to "
            f"{highest}."
        )
    del names[value]
    if value not in (len(names), IGNORE_LABEL):
        raise RecordError(
            f"{path}: label 'ignore' has the value {value}. Expected the value after the last "
            f"class, {len(names)}, or {IGNORE_LABEL}."
        )
    return value


def _check_values(names: dict[int, str], path: Path) -> None:
    listed = ", ".join(f"{value} {name!r}" for value, name in sorted(names.items()))
    if 0 not in names:
        raise RecordError(
            f"{path}: no label has the value 0, which the background has. Received {listed}. "
            f"{_HINT}"
        )
    misplaced = [v for v, name in names.items() if v and name.strip().lower() == "background"]
    if misplaced:
        raise RecordError(
            f"{path}: the background has the value {misplaced[0]}. Expected 0, in the masks too. "
            f"Received {listed}."
        )
    if sorted(names) != list(range(len(names))):
        raise RecordError(
            f"{path}: expected label values 0, 1, 2, ... without gaps, received {listed}. Number "
            f"the labels anew, in the masks too."
        )
    if len(names) < 2:
        raise RecordError(f"{path}: expected a label beside the background, received {listed}.")
