"""Starts TensorFlow without its start-up lines, which no setting turns off."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["start_tensorflow"]


def start_tensorflow(
    set_up: Callable[[], Any] | None = None, before: Callable[[], Any] | None = None
) -> Any:
    """Imports TensorFlow and finds its devices, with standard error turned away meanwhile.

    The lines come from C++, before any logging is set up. What was said is shown if the start
    fails.

    Args:
        set_up: Called after the import and before the devices are found.
        before: Called before that, with standard error as it is.

    Returns:
        What `set_up` returned.
    """
    quietly = contextlib.nullcontext if "tensorflow" in sys.modules else _quietly
    with quietly():
        import tensorflow as tf
    if before is not None:
        before()
    with quietly():
        made = None if set_up is None else set_up()
        if quietly is _quietly:
            tf.config.list_logical_devices()
    tf.get_logger().addFilter(_is_news)
    return made


def _is_news(record: logging.LogRecord) -> bool:
    """Not that Keras makes new functions for each training, which a demo has three of."""
    return "retracing" not in record.getMessage()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile("w+") as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(terminal, said.read().encode())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
