"""A run belongs to one process at a time; another one passes it by instead of waiting."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["lock", "run_lock"]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def run_lock(folder: Path) -> Iterator[bool]:
    """Tries to take a folder for this process until the block's end.

    The system frees the lock when its holder ends, however that ends. Where there are no locks
    (Windows, some network file systems), everyone gets the folder.

    Args:
        folder: The folder; made when missing.

    Yields:
        Whether this process has it; False if another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as file:
        yield lock(file, wait=False)


def lock(file: IO[bytes], *, wait: bool) -> bool:
    """Locks an open file until it is closed.

    Args:
        file: The file.
        wait: Whether to wait for another process that has it.

    Returns:
        Whether this process has it, as everyone has where there are no locks.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
