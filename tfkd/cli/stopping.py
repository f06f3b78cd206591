"""SIGTERM, by which a cluster ends a process, as an exception that unwinds."""

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence

__all__ = ["ToldToStop", "raising_on"]


class ToldToStop(BaseException):
    """The process was told to stop; no `Exception`, as this is no failure of the work at hand."""


@contextlib.contextmanager
def raising_on(signals: Sequence[signal.Signals], error: BaseException) -> Iterator[None]:
    """Raises an exception upon these signals inside the block, and restores what was.

    Python takes handlers in the main thread only; elsewhere this does nothing.

    Args:
        signals: The signals.
        error: What is raised.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(*_: object) -> None:
        raise error

    before = {one: signal.signal(one, handle) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            # None stands for a handler that was not installed from Python and cannot be put back.
            signal.signal(one, signal.SIG_DFL if handler is None else handler)
