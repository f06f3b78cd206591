"""The log file that keeps the tracebacks of unexpected errors."""

import contextlib
import datetime
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tfkd._version import __version__

__all__ = ["keep_traceback"]

_PACKAGES = (
    "numpy",
    "scipy",
    "nibabel",
    "pydicom",
    "highdicom",
    "ai-edge-litert",
    "tensorflow",
    "keras",
)
_HEAD = "It holds names of files and folders: look through it before you pass it on."

# File of this process by (verb, current folder).
_logs: dict[tuple[str, str], Path] = {}


def keep_traceback(
    error: BaseException, verb: str, words: Sequence[str] | None = None
) -> Path | None:
    """Writes the traceback to ``tfkd_VERB_error_DATE.log``, for a report of the bug.

    The file lies in the current folder, or in the folder for temporary files where that cannot be
    written to. Later errors of the same process and verb go to the end of the same file.

    Args:
        error: The error; the traceback of a worker process comes with it.
        verb: The command, such as ``"predict"``.
        words: Words after `tfkd`; those of the process by default.

    Returns:
        The file; None if none could be written.
    """
    try:
        folder = _current_folder()
        said = "".join(traceback.format_exception(error))
        log = _logs.get((verb, folder))
        if log is not None and log.exists():
            with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"\n{said}")
            return log
        text = f"{_circumstances(verb, words, folder)}\n{said}"
        for place in (Path(folder), Path(tempfile.gettempdir())):
            with contextlib.suppress(OSError):
                _logs[verb, folder] = _write_new(place, verb, text)
                return _logs[verb, folder]
    except Exception:  # the last line of defence must not fall itself
        return None
    return None


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return tempfile.gettempdir()


def _write_new(folder: Path, verb: str, text: str) -> Path:
    now = f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1, 100):
        more = "" if number == 1 else f"_{number}"
        path = folder / f"tfkd_{verb}_error_{now}{more}.log"
        with (
            contextlib.suppress(FileExistsError),
            path.open("x", encoding="utf-8", errors="backslashreplace") as file,
        ):
            file.write(text)
            return path
    raise FileExistsError(folder)


def _circumstances(verb: str, words: Sequence[str] | None, folder: str) -> str:
    versions = [f"tfkd {__version__}", f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    given = sys.argv[1:] if words is None else words
    lines = (
        f"An unexpected error in tfkd {verb}. {_HEAD}",
        f"time: {datetime.datetime.now().astimezone().isoformat(timespec='seconds')}",
        f"command: {shlex.join(['tfkd', *given])}",
        f"folder: {folder}",
        f"system: {platform.platform()}",
        f"versions: {', '.join(versions)}",
    )
    return "\n".join(lines) + "\n"
