"""Which case and file an exception is about, noted on the exception itself."""

import contextlib
import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path

__all__ = ["place_of", "working_on"]

_PLACE = "_tfkd_place"  # attribute of an exception; its attributes are pickled with it


@contextlib.contextmanager
def working_on(case_id: str | None = None, path: str | Path | None = None) -> Iterator[None]:
    """Notes on any exception of the block which case and file it is about, for `explain`.

    The exception keeps its type and message. Blocks may be nested; the innermost name counts. The
    note is kept when the exception comes out of a worker process. There, an exception that cannot
    be pickled becomes a `RuntimeError`, since it would break the whole pool.

    Args:
        case_id: Name of the case that the block works on.
        path: The file, under the name that the user knows.
    """
    try:
        yield
    except Exception as error:
        case = {} if case_id is None else {"case_id": str(case_id)}
        file = {} if path is None else {"path": str(path)}
        place = case | file | place_of(error)
        if multiprocessing.parent_process() is not None and not _is_picklable(error):
            other = RuntimeError(f"{type(error).__name__}: {error}")
            setattr(other, _PLACE, place)
            raise other from error
        setattr(error, _PLACE, place)
        raise


def place_of(error: BaseException) -> dict[str, str]:
    """What `working_on` noted: ``"case_id"``, ``"path"``, both or neither."""
    return getattr(error, _PLACE, {})


def _is_picklable(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # it may ask for any arguments when it is made again
        return False
    return True
