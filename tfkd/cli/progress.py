"""Progress of long work: a bar where someone watches, a line now and then where a log is kept."""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "progress_bar"]

Progress = Callable[[int, int, str], None]
"""`progress(done, total, text)`, as every long job of the library takes it."""

# Lines in a log this many seconds apart, at most.
_LOG_INTERVAL_S = 10.0


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Shows how far a job is, on standard error.

    Args:
        title: What is being done.

    Yields:
        Function to call as `progress(done, total, text)`.
    """
    # The runtime on an edge device has no rich, and a log has no use for a moving bar.
    if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
        yield from _bar(title)
    else:
        yield _log(title)


def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, text="")

        def progress(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total, text=text)

        yield progress


def _log(title: str) -> Progress:
    last = time.monotonic()

    def progress(done: int, total: int, text: str) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > _LOG_INTERVAL_S:
            last = time.monotonic()
            print(f"{title}: {done}/{total} {text}", file=sys.stderr, flush=True)

    return progress
