"""Multiply-accumulates of a network, read off its graph."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

__all__ = ["count_macs"]

# Each of these slides its kernels over positions: those of the result ...
_AT_EACH_OUTPUT = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    layers.Dense,
)
# ... or, where the kernel spreads one number over several, those of the input.
_AT_EACH_INPUT = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_NOT_COUNTED = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.Normalization,
    layers.PReLU,
)


def count_macs(model: keras.Model, input_shape: Sequence[int] | None = None) -> int:
    """Multiply-accumulates of one example, in inference.

    Counted are the products of weights and features in convolutions (grouped, dilated, strided,
    depthwise, separable and transposed ones) and dense layers, in nested models too, and once for
    each use of a shared layer:

        Σ over layers  positions · Π(kernel's shape)

    where the positions are the pixels of the result, or of the input of a transposed convolution.
    Pixels of the padding count as pixels, as kernels slide over them all the same.

    Not counted, as papers do: biases, normalisation (folded into the convolutions for the edge),
    activations, pooling, resizing, and products and sums of features with each other.

    Args:
        model: Functional or Sequential `keras.Model` with one input, built; ours or any other.
        input_shape: (H, W, C), or whatever the input's axes are, without the batch; the model's
            own by default. To be given where the model leaves sizes open, or to count at another
            size than the model was built for.

    Returns:
        Number of multiply-accumulates; twice as many "FLOPs".

    Raises:
        ValueError: If the model is of another kind, has open sizes and no `input_shape` is given,
            cannot take `input_shape`, or has a layer with weights that is not known here (the
            message names it).

    Example:
        >>> from tfkd.models import ENet
        >>> round(count_macs(ENet((384, 384, 3))) / 1e9, 2)
        1.04
    """
    graph = _graph(model)
    if len(graph.inputs) != 1:
        raise ValueError(
            f"Expected a model with one input. {model.name!r} has {len(graph.inputs)}."
        )
    (own,) = graph.inputs
    shape = tuple(own.shape[1:] if input_shape is None else input_shape)
    if None in shape:
        raise ValueError(
            f"Expected the size of the input of {model.name!r}, of which the model leaves some "
            f"open. Received {shape}; give input_shape, for instance (384, 384, 3)."
        )
    if len(shape) != len(own.shape) - 1 or own.shape[-1] not in (None, shape[-1]):
        raise _does_not_fit(model, own, shape, "other axes or channels")
    counts: list[int] = []
    try:
        _walk(graph, [keras.KerasTensor((1, *shape), dtype=own.dtype)], counts)
    except _UnknownLayerError:
        raise
    except (TypeError, ValueError) as error:  # from the shape inference of some layer
        raise _does_not_fit(model, own, shape, error) from error
    return sum(counts)


class _UnknownLayerError(ValueError):
    """A layer whose work cannot be told."""


def _does_not_fit(model: Any, own: Any, shape: tuple[int, ...], why: Any) -> ValueError:
    return ValueError(
        f"Expected an input_shape that {model.name!r} can take; it was built for "
        f"{tuple(own.shape[1:])}. Received {shape}: {why}."
    )


def _graph(model: keras.Model) -> Any:
    """The part of a model that knows how its layers are connected."""
    graph = getattr(model, "_functional", model)  # of a Sequential; None before it is built
    if not hasattr(graph, "_run_through_graph"):
        raise ValueError(
            f"Expected a Functional or a built Sequential keras.Model. Received {model!r}; build "
            "it with keras.Model(inputs, outputs)."
        )
    return graph


def _walk(graph: Any, inputs: list[keras.KerasTensor], counts: list[int]) -> Any:
    """Shapes of the outputs for these inputs; appends the work of each layer on the way."""

    def measured(operation: Any) -> Any:
        def infer(*arguments: Any, **options: Any) -> Any:
            if isinstance(operation, (keras.Sequential, keras.Model)):
                return _walk(_graph(operation), keras.tree.flatten(arguments), counts)
            outputs = operation.compute_output_spec(*arguments, **options)
            counts.append(_layer_macs(operation, arguments, outputs))
            return outputs

        return infer

    # The way in which Keras itself infers shapes, and the only one that follows shared layers.
    return graph._run_through_graph(inputs, operation_fn=measured)


def _layer_macs(layer: Any, arguments: Any, outputs: Any) -> int:
    if not getattr(layer, "weights", None) or isinstance(layer, _NOT_COUNTED):
        return 0
    if isinstance(layer, _AT_EACH_OUTPUT):
        return _positions(layer, outputs) * sum(math.prod(kernel) for kernel in _kernels(layer))
    if isinstance(layer, _AT_EACH_INPUT):
        return _positions(layer, arguments[0]) * math.prod(layer.kernel.shape)
    raise _UnknownLayerError(
        f"Expected layers whose multiply-accumulates are known: convolutions, dense layers and "
        f"normalisation. Received the layer {layer.name!r} of type {type(layer).__name__}, which "
        "has weights of its own; build it from those layers, or count the parts around it."
    )


def _positions(layer: Any, feature: keras.KerasTensor) -> int:
    """Over how many positions the kernel slides: every axis but batch and channels."""
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    return math.prod(feature.shape[2:] if channels_first else feature.shape[1:-1])


def _kernels(layer: Any) -> list[tuple[int, ...]]:
    if hasattr(layer, "pointwise_kernel"):
        return [layer.depthwise_kernel.shape, layer.pointwise_kernel.shape]
    return [layer.kernel.shape]
