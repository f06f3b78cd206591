"""Errors about what lies in a file say which file it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["naming"]


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts a file's name before the message of a `ValueError` that does not say it.

    The library was given a model and cannot know where it came from; the command line does.

    Args:
        path: File whose content the block works on.
    """
    try:
        yield
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error
