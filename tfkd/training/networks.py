"""Networks to train and to be taught by: built in a precision, loaded from a file, counted."""

import contextlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from tfkd.records import CTRecords

__all__ = ["build_network", "load_network", "parameter_count"]


def build_network(
    name: str, data: "CTRecords", width: float = 1.0, precision: str = "float32", **options: Any
) -> "keras.Model":
    """Builds a network for records.

    Args:
        name: Name of the network, see `tfkd.models.build`.
        data: Records, which give the input shape and the number of classes.
        width: Factor on the network's channels.
        precision: Keras' policy for its layers, such as "mixed_float16".
        **options: What that network takes besides.

    Raises:
        ValueError: As `tfkd.models.build`.
    """
    from tfkd.models import build

    with _precision(precision):
        return build(name, data.spec.input_shape, data.num_classes, width, **options)


@contextlib.contextmanager
def _precision(policy: str) -> Iterator[None]:
    """Layers that are made inside of the block have this policy."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def parameter_count(model: "keras.Model") -> int:
    """Trainable weights, as papers count them: without the running statistics."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def load_network(path: Path) -> "keras.Model":
    """A saved Keras model.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is no model, or one with layers that Keras does not know.
    """
    import keras

    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a Keras model file, found none.")
    expected = f"{path}: expected a model saved by Keras 3 (.keras)"
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ValueError(f"{expected}, which is a zip archive. The file is none, or damaged.")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        # Keras appends all that it knows of a class that it cannot find.
        reason = str(error).split("Full object config")[0].strip()
        raise ValueError(f"{expected}: {reason}") from error
