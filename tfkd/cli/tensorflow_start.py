"""Starts TensorFlow without its start-up lines, which no setting turns off."""

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

__all__ = ["start_tensorflow"]


def start_tensorflow(set_up: Callable[[], Any] | None = None) -> Any:
    """Imports TensorFlow and finds its devices, with standard error turned away meanwhile.

    The lines come from C++, before any logging is set up. What was said is shown if the start
    fails.

    Args:
        set_up: Called after the import and before the devices are found.

    Returns:
        What `set_up` returned.
    """
    made = None
    if "tensorflow" not in sys.modules:
        made = _start_quietly(set_up)
    elif set_up is not None:
        made = set_up()
    import tensorflow as tf

    tf.get_logger().addFilter(_is_news)
    return made


def _is_news(record: logging.LogRecord) -> bool:
    """Not that Keras makes new functions for each training, which a demo has three of."""
    return "retracing" not in record.getMessage()


def _start_quietly(set_up: Callable[[], Any] | None) -> Any:
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile("w+") as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf

            made = None if set_up is None else set_up()
            tf.config.list_logical_devices()
            return made
        except BaseException:
            said.seek(0)
            os.write(terminal, said.read().encode())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
