"""A view of a network that also returns the features that distillation compares."""

from collections.abc import Sequence
from difflib import get_close_matches

import keras

__all__ = ["TAPS", "with_taps"]

_PADDING = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)

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
            message names those that were likely meant), or if that layer's output is not
            (N, h, w, c).

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
        raise ValueError(
            f"Expected a layer named {name!r} in the model {model.name!r}, to take features from. "
            f"{_hint(model, str(name), available)}"
        )
    feature = model.get_layer(name).output
    if not isinstance(feature, keras.KerasTensor) or len(feature.shape) != 4:
        raise ValueError(
            f"Expected the layer {name!r} of {model.name!r} to give one feature (N, h, w, c). "
            f"Received {feature!r}; choose a layer whose output is a feature map."
        )
    return feature


def _hint(model: keras.Model, name: str, available: list[str]) -> str:
    """What may have been meant; not every layer, of which a network has hundreds."""
    for nested in model.layers:
        if isinstance(nested, keras.Model) and name in [layer.name for layer in nested.layers]:
            return (
                f"It is inside of the model {nested.name!r}, which is called as one layer. Build "
                f"on its tensors instead: keras.Model(m.input, head(m.output)) for "
                f"m = {nested.name}."
            )
    parts = []
    if close := get_close_matches(name, available, n=3):
        parts.append(f"Close names: {', '.join(close)}.")
    if likely := _before_each_change_of_size(model):
        listed = ", ".join(f"{layer} {shape}" for layer, shape in likely.items())
        parts.append(f"Last layers before each change of resolution, (h, w, c): {listed}.")
    parts.append(f"model.summary() shows all {len(available)} layers.")
    return " ".join(parts)


def _before_each_change_of_size(model: keras.Model) -> dict[str, tuple[int | None, ...]]:
    """Layers whose feature the next layer makes smaller or larger, with its shape (h, w, c).

    Means over the whole feature are no change of resolution, and neither is padding.
    """
    found: dict[str, tuple[int | None, ...]] = {}
    for layer in model.layers:
        if isinstance(layer, _PADDING) or not _is_map(layer.output):
            continue
        for feature in keras.tree.flatten(layer.input):
            source = feature._keras_history.operation
            while isinstance(source, _PADDING):
                feature = source.input
                source = feature._keras_history.operation
            if isinstance(source, keras.layers.InputLayer) or not _is_map(feature):
                continue
            if feature.shape[1:3] != layer.output.shape[1:3]:
                found[source.name] = tuple(feature.shape[1:])
    return found


def _is_map(feature: object) -> bool:
    if not isinstance(feature, keras.KerasTensor) or len(feature.shape) != 4:
        return False
    return tuple(feature.shape[1:3]) != (1, 1)
