"""One process at a time writes to a folder."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfkd.volumes.file_lock import lock

__all__ = ["LOCK_NAME", "folder_lock"]

LOCK_NAME = ".lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lets one process at a time into the block; a second one waits, and warns that it does.

    The file ``.lock`` stays: removing it would let in two, one by the old file and one by a new
    one. Where there are no locks (see `lock`), nobody waits.

    Args:
        folder: The folder; made when missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("ab") as file:
        if not lock(file, wait=False):
            message = f"{folder}: waiting for another process that writes there."
            warnings.warn(message, UserWarning, stacklevel=3)
            lock(file, wait=True)
        yield
