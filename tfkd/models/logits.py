"""What a network gives must be logits, one channel for each class, of weights that are numbers."""

from typing import Any

import keras
import numpy as np

__all__ = ["check_finite_weights", "check_logits", "functional"]

# Layers that hand on the values of their input, if at other places.
_PASSING = {
    "AveragePooling2D",
    "CenterCrop",
    "Cropping2D",
    "Dropout",
    "FakeQuantize",  # of tfkd.export
    "Identity",
    "MaxPooling2D",
    "Permute",
    "Resizing",
    "Reshape",
    "SpatialDropout2D",
    "Transpose",
    "UpSampling2D",
    "ZeroPadding2D",
    "Cast",
    "ExpandDims",
    "Squeeze",
}
# Of several inputs that are probabilities they give probabilities, such as those of an ensemble.
_MERGING = {"Average", "Concatenate", "Maximum", "Minimum", "Multiply"}
# Log-softmax is not among them: its softmax is that of the logits.
_PROBABILITIES = {"softmax", "sigmoid", "hard_sigmoid", "sparse_sigmoid"}
# What is no layer of Keras, and whose result its name does not tell, is run on noise.
_PLAIN_OPERATIONS = {"Add", "Subtract"}

_NOISE_SCALES = (1.0, 1e4)


def functional(network: Any, role: str = "model") -> keras.Model:
    """Returns a network, if it is one whose layers and tensors can be reached.

    Args:
        network: What was given.
        role: What it is to be, for the message.

    Raises:
        TypeError: It is no Keras model, or holds the student, as a Distiller does.
        ValueError: It is a subclass with a `call` of its own, or was not built yet.
    """
    if not isinstance(network, keras.Model) or isinstance(
        vars(network).get("student"), keras.Model
    ):
        raise TypeError(
            f"{role}: expected a Functional keras.Model. Received {type(network).__name__}. Give "
            "the model itself: of a file tfkd.models.load_network(path), of a Distiller "
            "distiller.student."
        )
    try:
        tensors = [*(network.inputs or ()), *(network.outputs or ())]
    except (AttributeError, ValueError):  # a subclass; Sequential before it is built
        tensors = []
    if not tensors:
        raise ValueError(
            f"{role} {network.name!r}: expected a Functional keras.Model with known inputs and "
            f"outputs. Received {type(network).__name__} without them; build it with "
            "keras.Model(inputs, outputs), or a Sequential with a keras.Input of full size."
        )
    return network


def check_logits(network: keras.Model, role: str = "model") -> None:
    """Refuses a network whose output is no logits, one channel for each of at least two classes.

    Everything here takes the softmax of what a network gives. That of probabilities is nearly flat:
    of three classes the surest reaches 0.58.

    The graph is looked at, not the numbers; a network that ends in a custom layer, a Lambda or an
    operation that can be either is run twice, on one example of noise.

    Args:
        network: Functional or built Sequential model with one output (N, H, W, K).
        role: What it is to be, for the message.

    Raises:
        TypeError: It is no Keras model.
        ValueError: It ends in a softmax or sigmoid, has one channel, or is not `functional`.

    Example:
        >>> from tfkd.models import ENet
        >>> check_logits(ENet((32, 32, 1), width=0.25))
    """
    functional(network, role)
    if len(network.outputs) != 1:
        raise ValueError(
            f"{role} {network.name!r}: expected one output, the logits. Received "
            f"{len(network.outputs)}; make a model of the logits alone with "
            "keras.Model(model.inputs, logits)."
        )
    output = network.outputs[0]
    if output.shape[-1] == 1:
        raise ValueError(
            f"{role} {network.name!r}: expected at least 2 classes, the background included. "
            "Received one channel; build the last layer with 2 channels and no activation."
        )
    ends_in = _probabilities_of(output)
    if ends_in is None and _can_be_either(output) and _gives_probabilities(network):
        ends_in = "", "Build it without what turns logits into probabilities."
    if ends_in is not None:
        name, advice = ends_in
        raise ValueError(
            f"{role} {network.name!r}: expected logits, the numbers before any softmax. Received "
            f"probabilities{name}. {advice}"
        )


def check_finite_weights(network: keras.Model, role: str = "model") -> None:
    """Refuses a network some of whose weights are NaN or infinite, as of a training that diverged.

    Moving statistics count as well. 34 million weights take about 20 ms.

    Args:
        network: Built model.
        role: What it is to be, for the message.

    Raises:
        ValueError: Naming the first of them.
    """
    bad = [variable.path for variable in network.variables if not _is_finite(variable)]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise ValueError(
            f"{role} {network.name!r}: expected finite weights. Received NaN or infinite ones in "
            f"{', '.join(bad[:3])}{more}, of {len(network.variables)}; its training diverged, or "
            "the file is damaged. Train it again, with a lower learning rate."
        )


def _is_finite(variable: Any) -> bool:
    values = keras.ops.convert_to_numpy(variable).astype("float32", copy=False)
    # The sum is quick, and finite if they are, but for huge ones.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def _probabilities_of(tensor: Any) -> tuple[str, str] | None:
    """Where a tensor's values became probabilities and how to get the logits, as far as is seen."""
    operation, inputs = _origin(tensor)
    if isinstance(operation, keras.Model):
        found = _probabilities_of(operation.outputs[tensor._keras_history.tensor_index])
        if found is None:
            return None
        return found[0], f"In the model {operation.name!r}, which is called as a layer: {found[1]}"
    kind = type(operation).__name__
    if kind in _PASSING and len(inputs) == 1:
        return _probabilities_of(inputs[0])
    if kind in _MERGING and inputs:
        found_of = [_probabilities_of(one) for one in inputs]
        return found_of[0] if all(found_of) else None
    activation = getattr(operation, "activation", None)
    # Softmax, Sigmoid and the like are layers and operations by that name.
    name = getattr(activation, "__name__", None) or _snake_case(kind)
    if name == "linear" and kind == "Activation":
        return _probabilities_of(inputs[0])
    if name not in _PROBABILITIES:
        return None
    where = f" of {kind} {operation.name!r}" if kind.lower() != name else f" {operation.name!r}"
    if kind in ("Activation", "Softmax") and isinstance(operation, keras.layers.Layer):
        advice = (
            f"keras.Model(model.input, model.get_layer({operation.name!r}).input) gives the logits."
        )
    elif isinstance(operation, keras.layers.Layer):
        advice = (
            f"To get the logits, set model.get_layer({operation.name!r}).activation = "
            "keras.activations.linear."
        )
    else:
        advice = f"Build the model without the operation {operation.name!r}."
    return f", by the {name}{where}", advice


def _can_be_either(tensor: Any) -> bool:
    """Whether the last operation's name does not tell what it gives."""
    operation, inputs = _origin(tensor)
    if isinstance(operation, keras.Model):
        return _can_be_either(operation.outputs[tensor._keras_history.tensor_index])
    kind = type(operation).__name__
    if kind in _PASSING and len(inputs) == 1:
        return _can_be_either(inputs[0])
    known = type(operation).__module__.startswith(("keras.", "tfkd."))
    if isinstance(operation, keras.layers.Layer):
        activation = getattr(operation, "activation", None)
        of_keras = activation is None or getattr(activation, "__module__", "").startswith("keras.")
        return not known or kind == "Lambda" or not of_keras
    return kind not in _PLAIN_OPERATIONS


def _gives_probabilities(network: keras.Model) -> bool:
    """Whether what it gives for noise lies within 0 and 1, however strong the noise is."""
    shape = [1, *(size or 32 for size in network.inputs[0].shape[1:])]
    noise = np.random.default_rng(0).normal(size=shape).astype("float32")
    values = []
    for scale in _NOISE_SCALES:
        given = keras.tree.flatten(network(scale * noise, training=False))[0]
        values.append(keras.ops.convert_to_numpy(given).astype("float64"))
    within = all(np.isfinite(one).all() and one.min() >= 0 and one.max() <= 1 for one in values)
    # All zeros, as of a network whose last kernel starts with them, are no probabilities.
    return within and any(np.ptp(one) > 0 or np.allclose(one.sum(-1), 1) for one in values)


def _origin(tensor: Any) -> tuple[Any, list[Any]]:
    """The operation that gives a tensor, and what that reads."""
    history = tensor._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    return history.operation, list(node.input_tensors)


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
