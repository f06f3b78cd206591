"""Names of cases, from the paths that the user gave."""

import os
from pathlib import Path

__all__ = ["name_of"]


def name_of(path: str | os.PathLike[str]) -> str:
    """Return the name of a file or folder as the user gave it, without `.nii` or `.nii.gz`.

    A link keeps its own name: what it leads to, such as a store of files by their checksums, tells
    nobody whose CT it is. `.` and `..` are the folders that they mean.
    """
    name = Path(path).name
    if name in ("", ".."):
        name = Path(os.path.abspath(path)).name or "root"
    for suffix in (".gz", ".nii"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
    return name
