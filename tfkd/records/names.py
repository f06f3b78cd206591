"""Names of cases and labels that hold everywhere: in file names, in tables and in contracts."""

import unicodedata
from collections.abc import Sequence

from tfkd.errors import RecordError

__all__ = ["check_case_names", "check_label_names"]

_MOST_BYTES = 200  # a file name may have 255, of which endings and temporary names take some


def check_case_names(names: Sequence[str], where: object) -> None:
    """Raises a `RecordError` if a name cannot be that of a file, or two would be of one file.

    Args:
        names: Ids of the cases.
        where: The cohort, for the message.
    """
    seen: dict[str, str] = {}
    for name in names:
        if (
            not _is_plain(name)
            or name.startswith(".")
            or any(sign in name for sign in "/\\")
            or len(name.encode()) > _MOST_BYTES
        ):
            raise RecordError(
                f"{where}: case {name!r} cannot be the name of a file. Expected up to "
                f"{_MOST_BYTES} bytes without slashes, control characters, a leading dot or blanks "
                f"at the ends. Rename the case."
            )
        other = seen.setdefault(_folded(name), name)
        if other != name:
            raise RecordError(
                f"{where}: cases {other} and {name} differ in upper and lower case only, and many "
                f"file systems take them for one. Expected names that differ otherwise. Rename one."
            )


def check_label_names(names: Sequence[str], where: object) -> None:
    """Raises a `RecordError` if a label has no proper name, or shares it with another one.

    Args:
        names: Name of every label value.
        where: The cohort, for the message.
    """
    seen: dict[str, int] = {}
    for value, name in enumerate(names):
        if not isinstance(name, str) or not _is_plain(name):
            raise RecordError(
                f"{where}: label {value} is called {name!r}. Expected a name without control "
                f"characters or blanks at its ends. Rename the label."
            )
        other = seen.setdefault(_folded(name), value)
        if other != value:
            raise RecordError(
                f"{where}: labels {other} and {value} have one name, {names[other]!r} and "
                f"{name!r}. Expected a name of its own for each. Rename one, or give both the "
                f"same value in the masks."
            )
        if value and _folded(name) == "ignore":
            raise RecordError(
                f"{where}: label {value} is called {name!r}, which says that its voxels belong to "
                f"no class. Expected `ignored_label={value}` without a name for it in place of "
                f"a class."
            )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_plain(name: str) -> bool:
    return bool(name) and name == name.strip() and name.isprintable()
