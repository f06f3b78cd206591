"""A network of mixed precision as one of float32, to be saved and exported."""

from typing import Any

import keras
from keras import ops

from tfkd.models.network_file import facts_of, set_facts

__all__ = ["as_float32"]

_FLOATS = {"float16", "bfloat16", "float32", "float64"}


def as_float32(model: keras.Model) -> keras.Model:
    """The same network with every layer in float32.

    A student trained under `mixed_float16` or `mixed_bfloat16` has that policy in its file, and so
    computes in half precision wherever it is loaded, on a machine without it more slowly than in
    float32. Its weights are float32 already, so nothing is lost; those of a network that is in half
    precision altogether are widened. A BatchNormalization that was built for several replicas says
    so in its file, which other backends than TensorFlow refuse; that is taken back as well.

    Args:
        model: Functional or Sequential model, built; nested models of these kinds are included.

    Returns:
        A new model, not compiled, with the same names of model, layers and outputs and
        the same weights, of which it has its own copy; `model` itself if there is nothing to
        change. Layers that compute in integers keep their type.

    Raises:
        ValueError: If the model is of another kind, or a layer is quantised.

    Example:
        >>> import keras
        >>> inputs = keras.Input((2,))
        >>> student = keras.Model(inputs, keras.layers.Dense(1, dtype="mixed_float16")(inputs))
        >>> student.layers[1].compute_dtype, as_float32(student).layers[1].compute_dtype
        ('float16', 'float32')
    """
    layers = list(model._flatten_layers())
    if all(_is_float32(layer) and not getattr(layer, "synchronized", False) for layer in layers):
        return model
    _check(model)
    # By way of the configuration instead of `keras.models.clone_model`: that one keeps the type of
    # the inputs, which in a nested Sequential is the half precision of its first layer.
    classes = {type(layer).__name__: type(layer) for layer in model._flatten_layers()}
    clone = model.__class__.from_config(_rewritten(model.get_config()), custom_objects=classes)
    for new, old in zip(clone.weights, model.weights, strict=True):
        new.assign(ops.convert_to_numpy(old).astype(new.dtype))
    set_facts(clone, facts_of(model))
    return clone


def _rewritten(config: Any) -> Any:
    """A configuration with float32 for every policy and type of floating point in it."""
    if isinstance(config, (list, tuple)):
        return type(config)(_rewritten(part) for part in config)
    if not isinstance(config, dict):
        return config
    changed = {key: _rewritten(value) for key, value in config.items()}
    if _is_floating(config.get("dtype")):
        changed["dtype"] = "float32"
    if config.get("synchronized"):
        changed["synchronized"] = False
    return changed


def _is_floating(dtype: Any) -> bool:
    """Whether a "dtype" of a configuration, a name or a serialised policy, is of floats."""
    if isinstance(dtype, dict):
        # A map has a policy for each of the layers inside of a layer.
        return dtype["class_name"] == "DTypePolicyMap" or _is_floating(dtype["config"]["name"])
    return isinstance(dtype, str) and dtype.removeprefix("mixed_") in _FLOATS


def _is_float32(layer: keras.Layer) -> bool:
    types = {layer.variable_dtype, layer.compute_dtype}
    if isinstance(layer, keras.layers.InputLayer):
        types = {layer.dtype}
    return not types & (_FLOATS - {"float32"})


def _check(model: keras.Model) -> None:
    try:
        _ = model.inputs, model.outputs
    except (AttributeError, ValueError) as error:  # subclassed; Sequential before it is built
        raise ValueError(
            "Expected a Functional keras.Model, whose layers can be built anew one by one. "
            f"Received {model!r}; build it with keras.Model(inputs, outputs)."
        ) from error
    quantised = [layer.name for layer in model._flatten_layers() if layer.quantization_mode]
    if quantised:
        raise ValueError(
            "Expected layers with weights of floating point. Received quantised layers: "
            f"{', '.join(quantised)}; take the model from before `quantize`."
        )
