"""The file of finished runs, one line of JSON each: appended to, never rewritten."""

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfkd.files import parse_json
from tfkd.volumes.file_lock import lock

__all__ = ["RowFile"]


class RowFile:
    """Rows by identity, in a file that is meant to be committed.

    Several processes may append at once. A line that a killed process left half-written is removed
    by the next one that appends. Lines that are no rows, such as the marks of a merge or rows of
    another version, are passed over with a warning and left as they are.

    Args:
        path: The file, `.jsonl`; it need not exist.
    """

    VERSION = 1

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def read(self) -> dict[str, dict[str, Any]]:
        """Every row by its identity.

        Of two with the same one it is the first, unless the second is the same run with its int8
        file beside.

        Warns:
            UserWarning: If there are lines that are no rows.
        """
        if not self.path.exists():
            return {}
        rows: dict[str, dict[str, Any]] = {}
        unknown = []
        lines = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row = _row(line)
            if row is None:
                unknown.append(number)
            elif _says_more(row, rows.get(row["identity"])):
                rows[row["identity"]] = row
        if unknown:
            warnings.warn(
                f"{self.path}: expected rows of a comparison (version {self.VERSION}), one line of "
                f"JSON each; lines {', '.join(map(str, unknown))} are none and are passed over.",
                stacklevel=2,
            )
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row and waits until it is on the disk.

        Args:
            row: The row, with its `identity`.

        Raises:
            ValueError: If a value is not finite.
        """
        facts = {"version": self.VERSION, **row}
        text = json.dumps(facts, ensure_ascii=False, allow_nan=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            lock(file, wait=True)
            _mend(file)
            # One call, so that other readers see the line as a whole.
            os.write(file.fileno(), text.encode())
            os.fsync(file.fileno())


def _says_more(row: Mapping[str, Any], known: Mapping[str, Any] | None) -> bool:
    if known is None:
        return True
    changed = {key for key in {**known, **row} if known.get(key) != row.get(key)}
    return known.get("int8") is None and "int8" in changed and changed <= {"int8", "seconds"}


def _row(line: bytes) -> dict[str, Any] | None:
    row = _json(line)
    is_row = isinstance(row, dict) and row.get("version") == RowFile.VERSION
    return row if is_row and isinstance(row.get("identity"), str) and "dice" in row else None


def _json(line: bytes) -> Any:
    """What a line holds; None if it is no JSON."""
    try:
        return parse_json(line)
    except ValueError:
        return None


def _mend(file: Any) -> None:
    """Ends the last line, or removes what a killed process has left of a row."""
    file.seek(0)
    content = file.read()
    if not content or content.endswith(b"\n"):
        return
    last = content.rpartition(b"\n")[2]
    if last.startswith(b"{") and _json(last) is None:
        file.truncate(len(content) - len(last))
    else:  # whole, of an editor that ends no lines
        os.write(file.fileno(), b"\n")
