"""A training's state in one file, which a kill at any moment leaves whole."""

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkd.errors import RecordError

__all__ = ["read_checkpoint", "read_facts", "write_checkpoint"]

_FACTS = "facts.json"


def write_checkpoint(
    path: Path, facts: Mapping[str, Any], arrays: Mapping[str, Sequence[NDArray[Any]]]
) -> None:
    """Writes the file beside its name, waits for the disk, and only then renames it.

    Args:
        path: The file, `.npz`; an earlier one is replaced.
        facts: What JSON can hold.
        arrays: Lists of arrays by name.

    Raises:
        RecordError: If the file cannot be written; the earlier one is whole.
    """
    # The same name each time: what a kill leaves is written over, not left for ever.
    temporary = path.with_name(path.name + ".partial")
    members: dict[str, Any] = {
        f"{name} {index}": array
        for name, listed in arrays.items()
        for index, array in enumerate(listed)
    }
    text = json.dumps({**facts, "counts": {name: len(a) for name, a in arrays.items()}})
    members[_FACTS] = np.frombuffer(text.encode(), np.uint8)
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, **members)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise RecordError(
            f"{path}: expected to write the checkpoint of a training, but {error}. Make room on "
            "the disk and start the training again; it goes on from its last checkpoint."
        ) from error


def read_facts(path: Path) -> dict[str, Any]:
    """The facts alone, without reading the arrays; raises as `read_checkpoint` does."""
    return read_checkpoint(path, ())[0]


def read_checkpoint(
    path: Path, names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, list[NDArray[Any]]]]:
    """Reads a file of `write_checkpoint`.

    Args:
        path: The file.
        names: Which of the lists of arrays to read.

    Returns:
        The facts, and the arrays by name.

    Raises:
        RecordError: If the file cannot be read.
    """
    try:
        # Opened here, since NumPy leaves a file open that is no archive.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            facts = json.loads(file[_FACTS].tobytes())
            arrays = {
                name: [file[f"{name} {index}"] for index in range(facts["counts"][name])]
                for name in names
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RecordError(
            f"{path}: expected the checkpoint of a training, but {error}. Remove the file to train "
            "from the beginning."
        ) from error
    return facts, arrays
