"""`Rewriting`: builds a network anew, layer by layer, in the form of the edge kernels."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from tfkd.export.quantization.edge_layers import DepthToSpace, PReLUDifference

__all__ = ["Rewriting", "functional_graph"]

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose)

# Of a LeakyReLU. The int8 kernel multiplies with 1/256ths, of the ratio of two ranges besides.
_LEAST_SLOPE = 1 / 64

# Nothing, in inference.
_NOTHING = (
    layers.Identity,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
)


def functional_graph(model: keras.Model) -> keras.Model | None:
    """The model as a Functional one of layers that are called once each; None if it is none.

    Operations that are no layers, such as `x + y` and slicing, are not known here either.
    """
    try:
        if not isinstance(model, keras.Model) or len(model.inputs) != 1 or len(model.outputs) != 1:
            return None
    except (AttributeError, ValueError):  # subclassed; Sequential before it is built
        return None
    model = getattr(model, "_functional", model)
    known = all(
        isinstance(operation, keras.Layer)
        and not isinstance(operation, keras.Model)
        and len(operation._inbound_nodes) == 1
        for operation in model.operations
    )
    return model if known else None


class Rewriting:
    """Builds a network anew, so that it computes the same in fewer and faster operators.

    BatchNorm is folded into the convolution before it, or becomes a 1×1 depthwise convolution where
    there is none; a transposed convolution whose kernel is as large as its stride becomes a 1×1
    convolution and `DepthToSpace`; a PReLU of slopes up to 1 a `PReLUDifference` and an addition,
    or, of one slope, a LeakyReLU.
    Each layer that remains keeps its name, and so does the last one of those that are merged.

    Args:
        network: As `functional_graph` returns it, in float32.
        splits_prelu: Whether PReLU is rewritten.
    """

    def __init__(self, network: keras.Model, splits_prelu: bool = True) -> None:
        self._network = network
        self._splits_prelu = splits_prelu
        self._readers: dict[str, list[keras.Layer]] = {}
        for layer in network.layers:
            for tensor in keras.tree.flatten(layer.input):
                source = tensor._keras_history.operation
                if source is not layer:  # an input is its own
                    self._readers.setdefault(source.name, []).append(layer)
        self._outputs = {tensor._keras_history.operation.name for tensor in network.outputs}
        # Layers that an earlier one has taken in.
        self._absorbed: set[str] = set()
        # The names of all layers, which no layer between them may have.
        self._taken = {layer.name for layer in network.layers}

    def rewrite(self, name: str) -> keras.Model:
        """The new network."""
        (own,) = self._network.inputs
        # The layer's name, not the tensor's, which is another one where the user gave none.
        layer_name = own._keras_history.operation.name
        image = keras.Input(batch_shape=own.shape, dtype=own.dtype, name=layer_name)
        outputs = self._network._run_through_graph(
            [self.finish_input(layer_name, image)], operation_fn=self._writer
        )
        return keras.Model(image, keras.tree.flatten(outputs)[0], name=name)

    def _writer(self, layer: keras.Layer) -> Callable[..., Any]:
        def write(*arguments: Any, **options: Any) -> Any:
            if layer.name in self._absorbed:
                return arguments[0]
            return self.write(layer, arguments, options)

        return write

    # What the quantising kind does otherwise ------------------------------------------------------

    def write(self, layer: keras.Layer, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The new tensor in place of what `layer` gives."""
        if type(layer) in _CONVOLUTIONS and layer.data_format == "channels_last":
            return self.convolution(layer, arguments[0])
        if type(layer) is layers.BatchNormalization and is_over_channels(layer):
            return self.affine(layer, arguments[0])
        if type(layer) is layers.PReLU and self._splits_prelu and prelu_is_replaceable(layer):
            return self.prelu(layer, arguments[0])
        return self.copied(layer)(*arguments, **options)

    def finish_input(self, name: str, x: Any) -> Any:
        """Hook for the image."""
        del name
        return x

    def finish(
        self, layer: keras.Layer, x: Any, *, fuses: bool = False, name: str | None = None
    ) -> Any:
        """Hook for the feature in place of `layer`'s; `fuses` where a ReLU can be part of it.

        The new layer that gave it has the `name`; by default that of `layer`.
        """
        del layer, fuses, name
        return x

    def same_range(self, x: Any, source: Any) -> Any:
        """Hook for a feature that has the range of `source`."""
        del source
        return x

    def kind(self, kind: type) -> type:
        """Hook for the class of a convolution."""
        return kind

    rounds = False

    # Layers ---------------------------------------------------------------------------------------

    def copied(self, layer: keras.Layer, **changes: Any) -> Callable[..., Any]:
        """A function that calls a new layer like `layer`, with its weights."""
        new = type(layer).from_config({**layer.get_config(), **changes})

        def call(*arguments: Any, **options: Any) -> Any:
            x = new(*arguments, **options)
            new.set_weights(layer.get_weights())
            new.trainable = layer.trainable
            return x

        return call

    def convolution(self, layer: keras.Layer, x: Any) -> Any:
        """A convolution with the BatchNorm and, where it can be fused, the ReLU after it."""
        kernel, bias = _weights(layer)
        function = _activation_name(layer)
        last = layer
        norm = self.sole_reader(layer)
        if (
            function == "linear"
            and type(norm) is layers.BatchNormalization
            and is_over_channels(norm)
        ):
            factor, offset = _factor_and_offset(norm)
            shape = [1] * 4
            for axis in _channel_axes(layer):
                shape[axis] = kernel.shape[axis]
            kernel, bias = kernel * factor.reshape(shape), bias * factor + offset
            last = self._absorb(norm)
        if is_subpixel(layer) and function in ("linear", "relu", "relu6"):
            return self._subpixel(layer, last, x, kernel, bias)
        config = {**layer.get_config(), "use_bias": True, "activation": None}
        x = self._weighted(self.kind(type(layer)), config, layer, x, kernel, bias)
        if function == "linear":
            return self.finish(last, x, fuses=self.fuses_relu(layer))
        name = self.free_name(f"{layer.name}_{function}")
        return self.activation(layer, function, x, name, follows=True)

    def _subpixel(
        self, layer: keras.Layer, last: keras.Layer, x: Any, kernel: np.ndarray, bias: np.ndarray
    ) -> Any:
        """A transposed convolution without overlap; kernel (s, s, filters, c)."""
        block, _, filters, channels = kernel.shape
        kernel = kernel.transpose(3, 0, 1, 2).reshape(1, 1, channels, block**2 * filters)
        config = {
            "filters": block**2 * filters,
            "kernel_size": 1,
            "kernel_regularizer": layer.kernel_regularizer,
            "name": self.free_name(f"{layer.name}_phases"),
        }
        bias = np.tile(bias, block**2)
        y = self._weighted(self.kind(layers.Conv2D), config, layer, x, kernel, bias)
        # A ReLU comes before the rearrangement, where it is part of the convolution.
        relu, function = self.sole_reader(last), _activation_name(layer)
        if function != "linear":
            name = self.free_name(f"{layer.name}_{function}_phases")
            y = layers.Activation(function, name=name)(y)
        elif relu is not None and is_fusable_relu(relu):
            y = self.copied(relu, name=self.free_name(f"{relu.name}_phases"))(y)
            last = self._absorb(relu)
        y = self.finish(last, y)
        return self.same_range(DepthToSpace(block, name=last.name)(y), y)

    def fuses_relu(self, layer: keras.Layer) -> bool:
        """Whether the ReLU after a convolution is part of its operator."""
        return type(layer) is not layers.Conv2DTranspose

    def affine(self, norm: keras.Layer, x: Any) -> Any:
        """A BatchNorm without a convolution before it, as a depthwise one."""
        factor, offset = _factor_and_offset(norm)
        config = {"kernel_size": 1, "name": norm.name}
        kernel = factor.reshape(1, 1, -1, 1)
        x = self._weighted(self.kind(layers.DepthwiseConv2D), config, norm, x, kernel, offset)
        return self.finish(norm, x, fuses=True)

    def prelu(self, layer: keras.Layer, x: Any) -> Any:
        """A PReLU as its input and what it adds below zero; of one slope, as a LeakyReLU."""
        alpha = layer.get_weights()[0]
        if is_leaky_relu(layer):
            return self.finish(layer, layers.LeakyReLU(float(alpha.item()), name=layer.name)(x))
        name = self.free_name(f"{layer.name}_difference")
        difference = PReLUDifference(self.rounds, name=name)
        y = difference(x)
        difference.set_weights([np.broadcast_to(alpha.reshape(-1), difference.alpha.shape)])
        difference.trainable = layer.trainable
        y = self.measured(difference.name, y)
        return self.finish(layer, layers.Add(name=layer.name)([x, y]))

    def measured(self, name: str, x: Any) -> Any:
        """Hook for a feature between two new layers."""
        del name
        return x

    def activation(
        self, layer: keras.Layer, function: str, x: Any, name: str, *, follows: bool = False
    ) -> Any:
        """Hook for an activation; `follows` where it was part of a convolution."""
        del function, follows
        return layers.Activation(layer.activation, name=name)(x)

    def _weighted(
        self,
        kind: Any,
        config: dict[str, Any],
        old: keras.Layer,
        x: Any,
        kernel: np.ndarray,
        bias: np.ndarray,
    ) -> Any:
        new = kind.from_config(config)
        y = new(x)
        new.set_weights([kernel, bias])
        new.trainable = old.trainable
        return y

    # Graph ----------------------------------------------------------------------------------------

    def free_name(self, name: str) -> str:
        """A name for a layer between the others: this one or, where it is taken, one like it."""
        free, count = name, 1
        while free in self._taken:
            count += 1
            free = f"{name}_{count}"
        self._taken.add(free)
        return free

    def sole_reader(self, layer: keras.Layer) -> keras.Layer | None:
        """The only layer that reads what `layer` gives; None if others do, or the caller."""
        readers = self._readers.get(layer.name, [])
        return readers[0] if len(readers) == 1 and layer.name not in self._outputs else None

    def sole_effective_reader(self, layer: keras.Layer) -> keras.Layer | None:
        """As `sole_reader`, looking through layers that do nothing in inference."""
        reader = self.sole_reader(layer)
        while isinstance(reader, _NOTHING):
            reader = self.sole_reader(reader)
        return reader

    def _absorb(self, layer: keras.Layer) -> keras.Layer:
        self._absorbed.add(layer.name)
        return layer


def is_fusable_relu(layer: keras.Layer) -> bool:
    """Whether LiteRT computes it as the end of the convolution or sum before it."""
    if type(layer) is layers.ReLU:
        return layer.max_value in (None, 6) and not layer.negative_slope and not layer.threshold
    return type(layer) is layers.Activation and _activation_name(layer) in ("relu", "relu6")


def _activation_name(layer: keras.Layer) -> str:
    name = keras.activations.serialize(layer.activation)
    return name if isinstance(name, str) else "custom"


def _channel_axes(layer: keras.Layer) -> tuple[int, ...]:
    """Axes of the kernel that are the output channels."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return (2, 3)
    return (2,) if isinstance(layer, layers.Conv2DTranspose) else (3,)


def _weights(layer: keras.Layer) -> tuple[np.ndarray, np.ndarray]:
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    if layer.use_bias:
        return kernel, keras.ops.convert_to_numpy(layer.bias)
    channels = np.prod([kernel.shape[axis] for axis in _channel_axes(layer)])
    return kernel, np.zeros(channels, kernel.dtype)


def _factor_and_offset(norm: keras.Layer) -> tuple[np.ndarray, np.ndarray]:
    """What a BatchNorm multiplies with and adds, in inference."""
    mean, variance = (
        keras.ops.convert_to_numpy(value).astype("float64")
        for value in (norm.moving_mean, norm.moving_variance)
    )
    gamma = keras.ops.convert_to_numpy(norm.gamma) if norm.scale else 1.0
    beta = keras.ops.convert_to_numpy(norm.beta) if norm.center else 0.0
    factor = gamma / np.sqrt(variance + norm.epsilon)
    return factor.astype("float32"), (beta - mean * factor).astype("float32")


def is_over_channels(norm: keras.Layer) -> bool:
    return len(norm.input.shape) == 4 and norm.axis in (-1, 3)


def prelu_is_replaceable(layer: keras.Layer) -> bool:
    """Whether a PReLU has one slope for all channels or one for each, that others can compute."""
    alpha = keras.ops.convert_to_numpy(layer.alpha)
    is_of_channels = alpha.shape[:-1] == (1,) * (alpha.ndim - 1)
    return is_leaky_relu(layer) or bool(is_of_channels and np.all(alpha <= 1))


def is_leaky_relu(layer: keras.Layer) -> bool:
    """Whether a PReLU has one slope, of a size that the kernel for LeakyReLU takes."""
    alpha = keras.ops.convert_to_numpy(layer.alpha)
    return alpha.size == 1 and bool(alpha.item() >= _LEAST_SLOPE)


def is_subpixel(layer: keras.Layer) -> bool:
    """Whether it is a transposed convolution whose kernel is a square as large as its stride."""
    return (
        isinstance(layer, layers.Conv2DTranspose)
        and len({*layer.kernel_size, *layer.strides}) == 1
        and layer.strides[0] > 1
        and layer.output_padding is None
        and set(layer.dilation_rate) == {1}
    )
