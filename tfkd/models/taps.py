"""A view of a network that also returns the features that distillation compares."""

from collections.abc import Sequence
from difflib import get_close_matches

import keras

__all__ = ["TAPS", "with_taps"]

TAPS = ("tap_low", "tap_high")
"""Layers that every network of `tfkd.models` has: the first at 1/2 and a deep one at 1/8."""


def with_taps(model: keras.Model, layers: Sequence[str] = TAPS) -> keras.Model:
    """A model that returns the logits and the outputs of `layers`, in one pass.

    Args:
        model: Functional model with one output, the logits; of this library or any other.
        layers: Names of layers of `model`, in the order wanted.

    Returns:
        Functional model on the same layers and weights: input → [logits, *features]. Training one
        trains the other.

    Raises:
        ValueError: If `model` is not Functional, has several outputs, lacks one of `layers` (the
        message
            names those that it has), or if that layer's output is not (N, h, w, c).

    Example:
        >>> from tfkd.models import ENet
        >>> logits, low, high = with_taps(ENet((64, 64, 1), width=0.5)).output_shape
        >>> low, high
        ((None, 32, 32, 8), (None, 8, 8, 64))
    """
    if isinstance(layers, str):
        raise ValueError(
            f"Expected a list of layer names. Received the string {layers!r}; write [{layers!r}]."
        )
    outputs = _outputs(model)
    if len(outputs) != 1:
        raise ValueError(
            f"Expected a model with one output, the logits. {model.name!r} has {len(outputs)}; "
            f"make one of the logits alone with keras.Model(model.inputs, logits)."
        )
    features = [_feature(model, name) for name in layers]
    # A list of one input would make Keras warn at each call with a bare tensor.
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return keras.Model(inputs, [*outputs, *features], name=f"{model.name}_with_taps")


def _outputs(model: keras.Model) -> list[keras.KerasTensor]:
    try:
        return list(model.outputs)
    except (AttributeError, ValueError) as error:  # subclassed; Sequential before it is built
        raise ValueError(
            f"Expected a Functional keras.Model, whose layers can be reached by name. Received "
            f"{model!r}; build it with keras.Model(inputs, outputs)."
        ) from error


def _feature(model: keras.Model, name: str) -> keras.KerasTensor:
    available = [layer.name for layer in model.layers]
    if name not in available:
        close = get_close_matches(str(name), available, n=3)
        hint = f" Close names: {', '.join(close)}." if close else ""
        raise ValueError(
            f"Expected a layer named {name!r} in the model {model.name!r}, to take features from."
            f"{hint} Its layers: {', '.join(available)}."
        )
    feature = model.get_layer(name).output
    if not isinstance(feature, keras.KerasTensor) or len(feature.shape) != 4:
        raise ValueError(
            f"Expected the layer {name!r} of {model.name!r} to give one feature (N, h, w, c). "
            f"Received {feature!r}; choose a layer whose output is a feature map."
        )
    return feature
