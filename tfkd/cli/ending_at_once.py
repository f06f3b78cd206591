"""Ends the process upon a signal while its main thread is deep inside TensorFlow."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

__all__ = ["ending_at_once"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_EX_TEMPFAIL = 75


@contextlib.contextmanager
def ending_at_once(doing: str) -> Iterator[None]:
    """Ends the process with status 75 upon SIGTERM or Ctrl-C inside the block, without unwinding.

    Python runs its handlers in the main thread, between two of its instructions; inside a call
    that waits for other processes that may be never. A second thread hears of the signal at once.

    Args:
        doing: Such as ``"waiting for the other workers"``, for the line that is printed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        while numbers := reader.recv(64):
            if set(numbers) & set(_SIGNALS):
                with contextlib.suppress(OSError):
                    sys.stdout.flush()
                line = f"tfkd: told to stop while {doing}; run the same command to go on\n"
                os.write(2, line.encode())
                os._exit(_EX_TEMPFAIL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    # The number of a signal is written only where a handler of Python's is in place.
    before = {one: signal.signal(one, lambda *_: None) for one in _SIGNALS}
    descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for one, handler in before.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)
        writer.close()
        thread.join()
        reader.close()
