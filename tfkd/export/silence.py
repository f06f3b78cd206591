"""Keeps the page of text that the converter prints, for the case that it is needed."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["silenced"]


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discard what the block prints, from Python and from C++, and its warnings.

    The converter writes through Python's streams (which a notebook or pytest may have replaced)
    and from C++ straight to the file descriptors, so both are turned away. This holds for the whole
    process: another thread's output is lost for as long.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(tempfile.TemporaryFile("w+"))
        for descriptor in (1, 2):
            copy = os.dup(descriptor)
            stack.callback(os.close, copy)
            stack.callback(os.dup2, copy, descriptor)
            os.dup2(sink.fileno(), descriptor)
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        # The first message of a process gives the root logger a handler, which would hold the sink.
        root = logging.getLogger()
        stack.callback(_drop_handlers, root, sink, tuple(root.handlers))
        # In a notebook the handler of TensorFlow's logger holds an earlier stream than Python's.
        tensorflow = logging.getLogger("tensorflow")
        stack.callback(tensorflow.setLevel, tensorflow.level)
        tensorflow.setLevel(logging.CRITICAL)
        yield


def _drop_handlers(logger: logging.Logger, sink: Any, kept: tuple[logging.Handler, ...]) -> None:
    for handler in logger.handlers[:]:
        if handler not in kept and getattr(handler, "stream", None) is sink:
            logger.removeHandler(handler)
