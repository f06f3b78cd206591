"""A file that one process at a time holds."""

import errno
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["lock"]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def lock(file: IO[bytes], *, wait: bool) -> bool:
    """Locks an open file until it is closed, or its holder ends, however that ends.

    Args:
        file: The file.
        wait: Whether to wait for another process that has it.

    Returns:
        Whether this process has it, as everyone has where there are no such locks (Windows, some
        network file systems).
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
