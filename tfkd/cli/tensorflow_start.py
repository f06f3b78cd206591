"""Starts TensorFlow without its start-up lines, which no setting turns off."""

import os
import sys
import tempfile

__all__ = ["start_tensorflow"]


def start_tensorflow() -> None:
    """Imports TensorFlow and finds its devices, with standard error turned away meanwhile.

    The lines come from C++, before any logging is set up. What was said is shown if the start
    fails.
    """
    if "tensorflow" in sys.modules:
        return
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
