"""Pure functions of tensors as XLA programs."""

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["xla_compiled"]


def xla_compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of tensors with XLA on TensorFlow; gradients flow through it.

    On other backends the function stays as it is: in `fit`, Keras compiles the step as a whole.

    Args:
        function: Pure function of tensors and hashable settings, without variables and without
            communication between replicas, which no XLA program can hold here.

    Returns:
        The compiled function; it needs a device for which TensorFlow has XLA.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True)
