"""Starts TensorFlow without its start-up lines, which no setting turns off."""

import logging
import os
import sys
import tempfile

__all__ = ["start_tensorflow"]


def start_tensorflow() -> None:
    """Imports TensorFlow and finds its devices, with standard error turned away meanwhile.

    The lines come from C++, before any logging is set up. What was said is shown if the start
    fails.
    """
    if "tensorflow" not in sys.modules:
        _start_quietly()
    import tensorflow as tf

    tf.get_logger().addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Not that Keras makes new functions for each training, which a demo has three of."""
    return "retracing" not in record.getMessage()


def _start_quietly() -> None:
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile("w+") as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_logical_devices()
        except BaseException:
            said.seek(0)
            os.write(terminal, said.read().encode())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
