"""Whole files or none: writing that cannot leave half a file behind, and checksums."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

__all__ = ["atomic_path", "sha256_of"]


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` once the block has succeeded.

    The temporary file lies in the same folder (so that the final rename is atomic), and its name
    ends as `path` does (so that libraries which choose a format by suffix choose the same one).
    An existing `path` is replaced; if the block raises, it is left as it was.

    Args:
        path: The file to write. Missing parent folders are made.

    Yields:
        The temporary path; the block must create a file there.

    Raises:
        FileNotFoundError: The block ended without having written the file.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.{target.name}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as 64 lower-case hexadecimal digits.

    Raises:
        OSError: The file is missing or unreadable.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
