"""One number for the weights of a network: equal if and only if they are, bit by bit.

Keras is imported on first use: the package binds `fingerprint` when it is loaded, since a name that
is also a file's cannot be left to be found later, and loading the package costs no TensorFlow.
"""

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

__all__ = ["fingerprint", "variable_digest"]


def fingerprint(model: "keras.Model") -> str:
    """SHA-256 of a model's weights.

    It is taken over the weights in the model's order, each with its shape, type and bytes; names
    are left out, since Keras numbers them anew for each model built in a process. The layers
    between the weights are not part of it, nor are seeds, metrics and the optimizer.

    Args:
        model: Built model.

    Returns:
        64 hexadecimal digits. A model without weights has the digest of nothing.

    Raises:
        ValueError: If the model is not built, so that it has no weights yet.

    Example:
        >>> import keras
        >>> def build():
        ...     return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "relu")])
        >>> model, other = build(), build()
        >>> other.set_weights(model.get_weights())
        >>> fingerprint(model) == fingerprint(other)
        True
    """
    if not model.built:
        raise ValueError(
            f"Expected a model that is built. Received {model.name!r}, which has no weights yet; "
            "call it on a batch first."
        )
    total = hashlib.sha256()
    for variable in model.weights:
        total.update(variable_digest(variable))
    return total.hexdigest()


def variable_digest(variable: Any) -> bytes:
    """SHA-256 of one variable's shape, type and bytes.

    Args:
        variable: `keras.Variable` of any type that NumPy or ml_dtypes (bfloat16) can hold.

    Returns:
        32 bytes.
    """
    from keras import ops

    array = np.ascontiguousarray(ops.convert_to_numpy(variable))
    # The header fixes how many bytes follow it, so no two variables can give the same text.
    digest = hashlib.sha256(f"{array.dtype.name}{tuple(variable.shape)};".encode())
    digest.update(array.tobytes())
    return digest.digest()
