"""A block that the operating system ends the process in, as Python cannot."""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["killable"]


@contextlib.contextmanager
def killable(limit_s: float) -> Iterator[None]:
    """Lets SIGTERM, Ctrl-C and the end of a time kill the process inside the block.

    For a call that holds Python's global lock while it waits, so that neither a handler nor a
    thread of Python's ever runs. The kernel still ends the process, without a word and with the
    signal's own status: 143, 130 or, when the time is over, 142. The block may replace a handler.

    Args:
        limit_s: The time; none where there is no such timer (Windows).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [signal.SIGTERM, signal.SIGINT]
    timed = hasattr(signal, "setitimer")
    if timed:
        signals.append(signal.SIGALRM)
    before = {one: signal.signal(one, signal.SIG_DFL) for one in signals}
    if timed:
        signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for one, handler in before.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)
