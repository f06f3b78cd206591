"""Networks to train and to be taught by: built in a precision, and counted."""

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from tfkd.records import CTRecords

__all__ = ["build_network", "parameter_count"]


def build_network(
    name: str, data: "CTRecords", width: float = 1.0, precision: str = "float32", **options: Any
) -> "keras.Model":
    """Builds a network for records, which knows by `tfkd.models.facts_of` what it is for.

    Args:
        name: Name of the network, see `tfkd.models.build`.
        data: Records, which give the input shape and the number of classes.
        width: Factor on the network's channels.
        precision: Keras' policy for its layers, such as "mixed_float16".
        **options: What that network takes besides.

    Raises:
        ValueError: As `tfkd.models.build`.
    """
    from tfkd.models import build, set_facts

    with _precision(precision):
        network = build(name, data.spec.input_shape, data.num_classes, width, **options)
    set_facts(network, data.facts)
    return network


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
