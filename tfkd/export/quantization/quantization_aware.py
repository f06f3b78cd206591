"""`quantization_aware`: a student that trains as its int8 file will compute."""

import itertools
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfkd.errors import ExportError
from tfkd.export.quantization.fake_quantize import FakeQuantize
from tfkd.export.quantization.quantized_convolutions import (
    QuantizedConv2D,
    QuantizedConv2DTranspose,
    QuantizedDepthwiseConv2D,
)
from tfkd.export.quantization.rewriting import (
    Rewriting,
    functional_graph,
    is_fusable_relu,
    is_over_channels,
    prelu_is_replaceable,
)
from tfkd.models.logits import check_finite_weights, check_logits
from tfkd.models.network_file import facts_of, set_facts
from tfkd.models.precision import as_float32

__all__ = ["calibrate", "check_exportable", "is_quantization_aware", "quantization_aware"]

_KINDS = {
    layers.Conv2D: QuantizedConv2D,
    layers.DepthwiseConv2D: QuantizedDepthwiseConv2D,
    layers.Conv2DTranspose: QuantizedConv2DTranspose,
}

# The result's values are values of the input, or 0.
_MOVING = (
    layers.Identity,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.MaxPooling2D,
    layers.ZeroPadding2D,
    layers.Cropping2D,
)
# The result has a range of its own.
_MEASURED = (layers.GlobalAveragePooling2D, layers.LeakyReLU, layers.PReLU, layers.Concatenate)
_OF_SEVERAL = (layers.Add, layers.Subtract, layers.Multiply)
# LiteRT gives the results of these one scale and no other: 1/256, or 1/128 around 0.
_FIXED_RANGES = {
    "sigmoid": (0.0, 255 / 256),
    "softmax": (0.0, 255 / 256),
    "tanh": (-1.0, 127 / 128),
}

_BATCH = 8


def quantization_aware(
    student: keras.Model,
    calibration: Iterable[Any] | np.ndarray | None = None,
    *,
    steps: int | None = None,
    momentum: float = 0.99,
) -> keras.Model:
    """A copy of a trained student that trains as its int8 file will compute.

    Kernels are rounded to int8 with a scale for each output channel, and features where LiteRT
    stores them: the image, the result of each convolution with its BatchNorm and ReLU, of each
    sum and concatenation, and the logits. Gradients pass straight through the rounding.
    Pooling, padding and resizing keep the range of what they read. BatchNorm is
    folded with its moving statistics, so start from a trained student, and fine-tune it with a
    fraction of the learning rate that trained it. A PReLU of one slope for all channels keeps that
    slope, which the file holds as a constant. The rest is as in `edge_form`.

    The copy trains with `fit` and in a `tfkd.Distiller`, under the student's own name, with the
    same input, logits and taps. `tfkd.export.to_litert(copy, path, quantization="int8")` needs no
    calibration: its ranges are in it. To load it from a `.keras` file, import `tfkd.export` first.

    Args:
        student: Functional or Sequential model with one input (N, H, W, C) and one output, the
            logits, of the layers of `tfkd.models`, LeakyReLU, and the activations relu, relu6,
            sigmoid, tanh, softmax and silu. It is not changed.
        calibration: What `calibrate` takes, for the ranges to start from: the copy then gives about
            what int8 after training gives. None to take them from the first steps of the training.
        steps: Most batches of `calibration` to read.
        momentum: Of the ranges, in training; see `FakeQuantize`.

    Returns:
        Functional model in float32, not compiled.

    Raises:
        ExportError: If a layer is of a kind that int8 has no kernel for or that is not known here
            (the message names it), or the model is not Functional, calls a layer several times or a
            model as a layer, or computes with something else than layers, such as `x + y`.

    Example:
        ```python
        aware = tfkd.export.quantization_aware(student, data.train, steps=20)
        distiller = tfkd.Distiller(teacher, aware, *tfkd.methods.emkd())
        distiller.compile(keras.optimizers.Adam(1e-4), loss=tfkd.losses.FocalDice())
        distiller.fit(data.train, epochs=3)
        tfkd.export.to_litert(aware, "student.tflite", quantization="int8", spec=data.spec)
        ```
    """
    check_logits(student, "student")
    check_finite_weights(student, "student")
    if is_quantization_aware(student):
        raise ExportError(f"Student {student.name!r}: expected one that is not quantised yet.")
    if functional_graph(student) is None:
        raise ExportError(
            f"Student {getattr(student, 'name', student)!r}: expected a Functional keras.Model of "
            "one input and one output that calls each of its layers once, no model as a layer, and "
            "nothing that is no layer (keras.layers.Add in place of x + y), since each layer is "
            "built anew. Build it with keras.Model(inputs, outputs)."
        )
    aware = _Quantizing(functional_graph(as_float32(student)), momentum).rewrite(student.name)
    if calibration is not None:
        calibrate(aware, calibration, steps)
    set_facts(aware, facts_of(student))
    return aware


def is_quantization_aware(model: keras.Model) -> bool:
    """Whether a model is one that `quantization_aware` made, or was loaded from its file."""
    return bool(_quantizers(model))


def check_exportable(model: keras.Model, quantization: str) -> None:
    """Raises if a quantisation-aware model cannot become a file of this number format.

    Args:
        model: From `quantization_aware`.
        quantization: "int8" is the only one that fits.

    Raises:
        ExportError: It is another one, or some range was never set (the message names the layers).
    """
    if quantization != "int8":
        raise ExportError(
            f"Student {model.name!r}: expected int8, since it is trained to compute in int8. "
            f"Received {quantization}; export the student it was made from."
        )
    if unset := [layer.name for layer in _quantizers(model) if not layer.has_range]:
        raise ExportError(
            f"Student {model.name!r}: expected ranges that were calibrated or trained, received "
            f"none at {', '.join(unset[:5])}{' and others' if len(unset) > 5 else ''}. Train it, "
            "or call tfkd.export.calibrate(student, images)."
        )


def calibrate(
    model: keras.Model, data: Iterable[Any] | np.ndarray, steps: int | None = None
) -> int:
    """Sets every range to the smallest and largest value that its feature takes over some data.

    Features are not rounded meanwhile; kernels are.

    Args:
        model: From `quantization_aware`. Its ranges are changed in place, nothing else.
        data: Array of images (n, H, W, C), or batches of x, (x, y) or (x, y, sample_weight), of
            which x is used.
        steps: Most batches to read; all of them by default, so give it for an endless dataset.

    Returns:
        The number of batches used.

    Raises:
        ExportError: If the model is another one, the data are empty, or a feature is not finite
            (the message names the layers). The ranges are then as they were.
    """
    quantizers = _quantizers(model)
    if not quantizers:
        raise ExportError(
            f"Model {model.name!r}: expected one from tfkd.export.quantization_aware, received one "
            "without ranges."
        )
    if isinstance(data, np.ndarray):
        data = [data[start : start + _BATCH] for start in range(0, len(data), _BATCH)]
    before = [[weight.numpy() for weight in layer.weights] for layer in quantizers]
    done = False
    try:
        for layer in quantizers:
            layer.reset()
            layer.is_measuring = True
        batches = _run(model, itertools.islice(data, steps))
        _check(model, quantizers, batches)
        done = True
    finally:
        for layer, values in zip(quantizers, before, strict=True):
            layer.is_measuring = False
            if not done:
                layer.set_weights(values)
    return batches


def _run(model: keras.Model, data: Iterable[Any]) -> int:
    @tf.function(reduce_retracing=True)
    def run(images: tf.Tensor) -> None:
        model(images, training=False)

    batches = 0
    for batch in data:
        x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        run(tf.convert_to_tensor(keras.tree.flatten(x)[0], tf.float32))
        batches += 1
    return batches


def _check(model: keras.Model, quantizers: list[FakeQuantize], batches: int) -> None:
    if not batches:
        raise ExportError(
            f"Model {model.name!r}: expected at least one batch to calibrate with, received none. "
            "Was it a generator that is already used up?"
        )
    wrong = [layer.name for layer in quantizers if not np.all(np.isfinite(layer.get_weights()))]
    if wrong:
        raise ExportError(
            f"Model {model.name!r}: expected finite features, received NaN or infinity at "
            f"{', '.join(wrong[:5])}{' and others' if len(wrong) > 5 else ''}. Look for it in the "
            "calibration images, then in the weights."
        )


def _quantizers(model: keras.Model) -> list[FakeQuantize]:
    if not isinstance(model, keras.Model):
        return []
    return [layer for layer in model._flatten_layers() if isinstance(layer, FakeQuantize)]


class _Quantizing(Rewriting):
    """Rewriting with rounded kernels, and `FakeQuantize` where LiteRT stores a feature."""

    rounds = True

    def __init__(self, network: keras.Model, momentum: float) -> None:
        super().__init__(network)
        self._momentum = momentum
        # By the id of a feature, the layer that has its range. The features themselves are kept so
        # that no id is used twice.
        self._ranges: dict[int, FakeQuantize] = {}
        self._kept: list[Any] = []

    def kind(self, kind: type) -> type:
        return _KINDS[kind]

    def finish_input(self, name: str, x: Any) -> Any:
        return self.measured(name, x)

    def finish(
        self, layer: keras.Layer, x: Any, *, fuses: bool = False, name: str | None = None
    ) -> Any:
        reader = self.sole_effective_reader(layer)
        if fuses and reader is not None and is_fusable_relu(reader):
            return x  # rounded after it
        if type(reader) is layers.Concatenate:
            return x  # has the range of the whole
        return self.measured(name or layer.name, x)

    def measured(self, name: str, x: Any, fixed_range: tuple[float, float] | None = None) -> Any:
        name = self.free_name(f"{name}_range")
        layer = FakeQuantize(self._momentum, fixed_range, dtype="float32", name=name)
        return self._remember(layer(x), layer)

    def same_range(self, x: Any, source: Any) -> Any:
        layer = self._ranges.get(id(source))
        return x if layer is None else self._remember(x, layer)

    def _remember(self, x: Any, layer: FakeQuantize) -> Any:
        self._ranges[id(x)] = layer
        self._kept.append(x)
        return x

    def _averaged(self, x: Any, source: Any) -> Any:
        """A feature of means of `source`, which LiteRT rounds to the levels of that one."""
        layer = self._ranges.get(id(source))
        return x if layer is None else self._remember(layer(x, observe=False), layer)

    def write(self, layer: keras.Layer, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        kind, x = type(layer), arguments[0]
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise self._unsupported(layer, 'data_format="channels_first"')
        if kind is layers.UpSampling2D:
            if layer.interpolation == "bilinear":
                return self._averaged(self.copied(layer)(x), x)
            if layer.interpolation == "nearest":
                return self.same_range(self.copied(layer)(x), x)
            raise self._unsupported(layer, f"interpolation={layer.interpolation!r}")
        if kind is layers.AveragePooling2D:
            return self._averaged(self.copied(layer)(x), x)
        if kind in _MOVING:
            return self.same_range(self.copied(layer)(*arguments, **options), x)
        if kind in _OF_SEVERAL:
            return self._of_several(layer, list(x))
        if kind is layers.Softmax:
            return self.measured(layer.name, self.copied(layer)(x), _FIXED_RANGES["softmax"])
        if kind is layers.Activation:
            return self.activation(
                layer, keras.activations.serialize(layer.activation), x, layer.name
            )
        if kind is layers.ReLU and is_fusable_relu(layer):
            return self.finish(layer, self.copied(layer)(x))
        if kind in _KINDS:
            return self.convolution(layer, x)
        if kind is layers.BatchNormalization and is_over_channels(layer):
            return self.affine(layer, x)
        if kind is layers.PReLU and prelu_is_replaceable(layer):
            return self.prelu(layer, x)
        if kind in _MEASURED:
            return self.finish(layer, self.copied(layer)(*arguments, **options))
        raise self._unsupported(layer, "")

    def _of_several(self, layer: keras.Layer, features: list[Any]) -> Any:
        """A sum or product of several, two by two as LiteRT computes it."""
        x, *others = features
        for position, other in enumerate(others, start=1):
            is_last = position == len(others)
            name = layer.name if is_last else self.free_name(f"{layer.name}_{position}")
            x = type(layer)(name=name)([x, other])
            if not is_last:
                x = self.measured(name, x)
        return self.finish(layer, x, fuses=True)

    def activation(
        self, layer: keras.Layer, function: Any, x: Any, name: str, *, follows: bool = False
    ) -> Any:
        is_relu = function in ("relu", "relu6")
        if follows and not (is_relu and self.fuses_relu(layer)):
            x = self.measured(layer.name, x)
        if is_relu:
            return self.finish(layer, layers.Activation(function, name=name)(x), name=name)
        if function == "linear":
            return self.same_range(layers.Activation(function, name=name)(x), x)
        if function == "silu":
            inner = self.free_name(f"{name}_sigmoid")
            y = layers.Activation("sigmoid", name=inner)(x)
            y = self.measured(inner, y, _FIXED_RANGES["sigmoid"])
            return self.finish(layer, layers.Multiply(name=name)([x, y]), name=name)
        if function in _FIXED_RANGES:
            y = layers.Activation(function, name=name)(x)
            return self.measured(name, y, _FIXED_RANGES[function])
        raise self._unsupported(layer, f"activation={function!r}")

    def _unsupported(self, layer: keras.Layer, setting: str) -> ExportError:
        return ExportError(
            f"Student {self._network.name!r}: expected layers that int8 is known to compute. "
            f"Received {layer.name!r} of type {type(layer).__name__}"
            f"{f' with {setting}' if setting else ''}. Replace it (for instance GroupNormalization "
            "by BatchNormalization, and train again), or export another precision."
        )
