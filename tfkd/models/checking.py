"""What the rest of the library counts on in a network, checked for one of ours or one of yours."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from tfkd.models.fingerprint import fingerprint
from tfkd.models.logits import check_finite_weights, check_logits, functional
from tfkd.models.taps import TAPS, with_taps

__all__ = ["check_network"]

Build = Callable[[tuple[int, int, int], int, float], keras.Model]
"""A network as a function of input shape, number of classes and width."""

TAP_STRIDES = (2, 8)
MAX_INITIAL_STD = 2.0


def check_network(
    network: keras.Model | Build,
    *,
    input_shapes: Sequence[tuple[int, int, int]] = ((64, 64, 1), (32, 96, 2)),
    num_classes: int = 3,
    widths: Sequence[float] = (0.25, 1.0),
    taps: Sequence[str] = TAPS,
    run_xla: bool = False,
) -> None:
    """Check that a network can teach and learn here; returns if it can.

    * It is Functional, with one input (H, W, C) of fixed size, and gives float32 logits
      (H, W, classes) of the same size: at least two classes, and no softmax or sigmoid at the end.
      Its weights are finite.
    * `taps` name features at 1/2 and 1/8 of the input.
    * Saved and loaded, it has the same weights and gives the same logits.
    * On TensorFlow: forward pass and gradient have an XLA program, and every trainable weight has a
      gradient.
    * Of a function that builds networks, moreover: it makes them for every input shape and width,
      with more weights at a larger width, and their first logits in training are small (standard
      deviation of 2 at most), so that no class starts with an advantage.

    Not checked is the file for the edge: `tfkd.export.to_litert` does so by itself each time, and
    says which operator LiteRT lacks or cannot compute in integers. The network is left as it is.

    Args:
        network: A built model, or a function (input_shape, num_classes, width) → model, as those of
            `tfkd.models` are.
        input_shapes: (H, W, C) to build for; of a model, its own is taken.
        num_classes: Classes to build for; of a model, its own are taken.
        widths: Widths to build for. The smallest network at the first shape is the one that is
            saved and compiled.
        taps: The two layers that are the taps.
        run_xla: Whether to make machine code of the XLA program and run it as well, which takes up
            to half a minute. That it can be made at all is what tells one network from another.

    Raises:
        ValueError: At the first promise that the network does not keep.

    Example:
        >>> from tfkd.models import ENet
        >>> check_network(ENet, widths=(0.25,))
    """
    if isinstance(network, keras.Model):
        model, classes = network, None
    else:
        classes = num_classes
        model = _build_all(network, input_shapes, num_classes, sorted(widths), taps)
    check_finite_weights(functional(model, "network"), "network")
    _check_shapes(model, classes, taps)
    copy = _saved_and_loaded(model)
    if keras.backend.backend() == "tensorflow":
        _check_xla(copy, run_xla)


def _build_all(
    build: Build,
    input_shapes: Sequence[tuple[int, int, int]],
    num_classes: int,
    widths: Sequence[float],
    taps: Sequence[str],
) -> keras.Model:
    """Check what a building function makes; returns the smallest network at the first shape."""
    first = build(input_shapes[0], num_classes, widths[0])
    for shape in input_shapes[1:]:
        _check_shapes(build(shape, num_classes, widths[0]), num_classes, taps)
    weights = first.count_params()
    for width in widths[1:]:
        wider = build(input_shapes[0], num_classes, width)
        _check_shapes(wider, num_classes, taps)
        if wider.count_params() <= weights:
            raise ValueError(
                f"{first.name}: expected more weights at width {width} than the {weights:,} at the "
                f"width before. Received {wider.count_params():,}."
            )
        weights = wider.count_params()
    # As a training sees them: before it, moving statistics do not yet keep features small.
    spread = float(_logits(first, training=True).std())
    if not spread <= MAX_INITIAL_STD:  # NaN too
        raise ValueError(
            f"{first.name}: expected first logits of a standard deviation of at most "
            f"{MAX_INITIAL_STD}, so that every class starts with a chance. Received {spread:.3g}; "
            "start the last layer with smaller weights."
        )
    return first


def _check_shapes(model: keras.Model, classes: int | None, taps: Sequence[str]) -> None:
    check_logits(model, "network")
    if len(taps) != len(TAP_STRIDES):
        raise ValueError(f"Expected two taps, at 1/2 and at 1/8. Received taps={list(taps)}.")
    logits, *features = with_taps(model, taps).outputs
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:]:
        raise ValueError(
            f"{model.name}: expected one input (N, H, W, C) of fixed size. Received {shapes}."
        )
    _, height, width, _ = shapes[0]
    wanted = (height, width, classes or logits.shape[-1])
    if tuple(logits.shape[1:]) != wanted or logits.dtype != "float32":
        raise ValueError(
            f"{model.name}: expected float32 logits of the input's size, (h, w, classes) "
            f"{wanted}. Received {logits.dtype} {tuple(logits.shape[1:])}."
        )
    for name, feature, stride in zip(taps, features, TAP_STRIDES, strict=True):
        if tuple(feature.shape[1:3]) != (height // stride, width // stride):
            raise ValueError(
                f"{model.name}: expected the tap {name!r} at 1/{stride} of the input, "
                f"{height} × {width}. Received a feature (h, w, c) {tuple(feature.shape[1:])}; "
                "name another layer."
            )


def _saved_and_loaded(model: keras.Model) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        model.save(path)
        loaded = keras.saving.load_model(path, compile=False)
    difference = float(np.abs(_logits(loaded) - _logits(model)).max())
    if fingerprint(loaded) != fingerprint(model) or not difference <= 1e-5:
        raise ValueError(
            f"{model.name}: expected the same weights and logits after saving and loading. "
            f"Received logits that differ by up to {difference:.3g}; look at the configuration of "
            "its own layers."
        )
    return loaded


def _check_xla(model: keras.Model, run: bool) -> None:
    import tensorflow as tf

    images = tf.constant(_images(model))
    variables = [variable.value for variable in model.trainable_variables]

    @tf.function(jit_compile=True)
    def step(images: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(images, training=True)))
        return tape.gradient(loss, variables)

    try:
        step.experimental_get_compiler_ir(images)(stage="hlo")
        gradients = step(images) if run else step.get_concrete_function(images).structured_outputs
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(
            f"{model.name}: expected a forward pass and a gradient that XLA can compile. Received: "
            f"{error}"
        ) from error
    pairs = zip(model.trainable_variables, gradients, strict=True)
    idle = [variable.path for variable, gradient in pairs if gradient is None]
    if idle:
        raise ValueError(
            f"{model.name}: expected a gradient for every trainable weight. None reaches "
            f"{', '.join(idle)}."
        )


def _images(model: keras.Model) -> np.ndarray:
    """Two slices of noise in [-1, 1]."""
    shape = (2, *model.inputs[0].shape[1:])
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def _logits(model: keras.Model, training: bool = False) -> np.ndarray:
    return ops.convert_to_numpy(keras.tree.flatten(model(_images(model), training=training))[0])
