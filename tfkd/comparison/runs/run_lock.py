"""A run belongs to one process at a time; another one passes it by instead of waiting."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfkd.volumes.file_lock import lock

__all__ = ["run_lock"]


@contextmanager
def run_lock(folder: Path) -> Iterator[bool]:
    """Tries to take a folder for this process until the block's end.

    Where there are no locks (see `lock`), everyone gets the folder.

    Args:
        folder: The folder; made when missing.

    Yields:
        Whether this process has it; False if another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as file:
        yield lock(file, wait=False)
