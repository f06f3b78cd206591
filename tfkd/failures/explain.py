"""One line about an error, whatever it is."""

from collections.abc import Sequence
from pathlib import Path

from tfkd.errors import TfkdError
from tfkd.failures.one_line import is_of_tensorflow, one_line
from tfkd.failures.traceback_log import keep_traceback
from tfkd.failures.working_on import place_of

__all__ = ["explain", "is_expected"]


def explain(error: BaseException, verb: str, words: Sequence[str] | None = None) -> str:
    """One line about an error, which names case and file where `working_on` noted them.

    The traceback of an unexpected error, a bug, goes to a log file, and the line says to which,
    see `keep_traceback`. For the end of a command, and for one case of many that fails.

    Args:
        error: What ended the command, or the work on the case.
        verb: The command, such as ``"predict"``.
        words: Words after `tfkd`, for the log; those of the process by default.

    Returns:
        The line, without its line break.
    """
    said = one_line(error)
    if isinstance(error, MemoryError):
        return _with_place(error, " ".join(["not enough memory.", said]).strip())
    if is_expected(error):
        return _with_place(error, said)
    name = type(error).__name__
    bug = _with_place(error, f"unexpected {name}: {said}" if said else f"unexpected {name}")
    log = keep_traceback(error, verb, words)
    if log is None:
        return (
            f"{bug}. This is a bug in tfkd. No log file could be written; set the environment "
            "variable TFKD_TRACEBACK=1 to see the traceback, and please report it."
        )
    return f"{bug}. This is a bug in tfkd. Please report it with the log file {log}."


def is_expected(error: BaseException) -> bool:
    """Whether the user can do something about it, such as free memory on the GPU."""
    if isinstance(error, ImportError):
        # A module of this package that cannot be imported is a bug and not a set-up.
        return (error.name or "").split(".")[0] != "tfkd"
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):
        return True  # of `Path.resolve` until Python 3.12; an `OSError` since
    expected = (TfkdError, ValueError, OSError, MemoryError)
    return isinstance(error, expected) or is_of_tensorflow(error)


def _with_place(error: BaseException, said: str) -> str:
    """The text, after case and file where it does not mention them itself."""
    place = place_of(error)
    missing = []
    if "case_id" in place and place["case_id"] not in said:
        missing.append(f"case {place['case_id']!r}")
    if "path" in place and Path(place["path"]).name not in said:
        missing.append(f"file {place['path']}")
    if not missing:
        return said
    where = one_line(", ".join(missing))
    return f"{where[0].upper()}{where[1:]}: {said}"
