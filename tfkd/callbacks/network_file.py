"""A network alone, as a file."""

import os

import keras

from tfkd.models import as_float32
from tfkd.volumes import atomic_path

__all__ = ["save_network"]


def save_network(network: keras.Model, path: str | os.PathLike[str]) -> None:
    """Saves a network in float32 and without the state of an optimizer, which is twice as large.

    A network of mixed precision would otherwise compute in half precision wherever it is loaded. An
    earlier file is replaced once the new one is complete and on the disk.

    Args:
        network: Functional model with one input and one output.
        path: The file, `.keras`.
    """
    alone = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    with atomic_path(path) as temporary:
        as_float32(alone).save(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
