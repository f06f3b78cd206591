"""What our networks promise beyond `tfkd.models.check_network`, at 64² and a small width."""

from collections.abc import Callable
from functools import cache

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from tfkd.export.convert import convert

Build = Callable[..., keras.Model]
"""A network of `tfkd.models`: (input_shape, num_classes, width) → model."""

SHAPE = (64, 64, 2)
CLASSES = 3
SMALL = 0.25
INT8_ERROR = 0.15  # root mean square, in standard deviations of the logits
INT8_LABELS = (
    0.95  # share of the pixels whose label stays; the weights are random, so many are close
)


@cache
def small(build: Build) -> keras.Model:
    """A small network whose every weight matters, as after a training; checks leave it as it is.

    At its start a residual branch ends in zeros, and moving statistics do nothing: a comparison
    would not see them.
    """
    model = _built(build)
    rng = np.random.default_rng(0)
    for layer in batch_norms(model):
        size = layer.gamma.shape
        layer.gamma.assign(rng.uniform(0.5, 1.0, size))
        layer.beta.assign(rng.normal(0, 0.1, size))
        layer.moving_mean.assign(rng.normal(0, 0.1, size))
        layer.moving_variance.assign(rng.uniform(1.0, 2.0, size))
    return model


@cache
def fresh(build: Build) -> keras.Model:
    """A small network as it starts."""
    return _built(build)


def _built(build: Build) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build(SHAPE, CLASSES, SMALL)


def slices(count: int = 2, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (count, *shape)).astype("float32")


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]


def check_layers(build: Build) -> None:
    """Same names from build to build, all of them given; BatchNorm as quick as short runs need."""
    names = [layer.name for layer in small(build).layers]
    assert names == [layer.name for layer in fresh(build).layers]
    assert names[0] == "image"
    assert "logits" in names
    assert {norm.momentum for norm in batch_norms(small(build))} == {0.9}


def check_initial_logits(build: Build) -> None:
    """No class starts with an advantage that training has to undo first."""
    model = fresh(build)
    for training in (True, False):
        logits = keras.ops.convert_to_numpy(model(slices(4), training=training))
        assert logits.shape == (4, *SHAPE[:2], CLASSES)
        assert 1e-3 < logits.std() < 2.0
        assert np.abs(logits.mean(axis=(0, 1, 2))).max() < 2.0


def check_mixed_precision(build: Build) -> None:
    """Float16 inside, float32 logits."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = build(SHAPE, CLASSES, SMALL)
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    assert model.get_layer("tap_high").compute_dtype == "float16"
    assert model.output.dtype == "float32"
    assert np.all(np.isfinite(model(slices())))


def check_every_weight_trains(build: Build) -> None:
    """A gradient reaches every trainable weight."""
    model, images = small(build), slices()
    with tf.GradientTape() as tape:  # by hand and eagerly: nothing is updated but moving statistics
        loss = tf.reduce_mean(tf.square(model(images, training=True) - 1.0))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.all(np.isfinite(gradient)), variable.path
        assert np.any(gradient), variable.path


def check_stock_layers(build: Build) -> None:
    """A saved model is made of stock Keras parts, so it loads where `tfkd` is not installed."""
    foreign = {
        (part["module"], part["class_name"])
        for part in _parts(keras.saving.serialize_keras_object(small(build)))
        if not str(part["module"]).startswith("keras.") or part["registered_name"]
        if part["class_name"] != "Functional"
    }
    assert not {module for module, _ in foreign} - {"keras"}, foreign


def check_litert(build: Build) -> None:
    """A LiteRT file with builtin operators only, which gives what Keras gives."""
    model, images = small(build), slices(1)
    received = _run(convert(model, "float32", None), images)
    np.testing.assert_allclose(received, model(images), rtol=1e-3, atol=1e-4)


def check_int8(build: Build) -> None:
    """A LiteRT file that computes in integers from end to end, close to what Keras gives."""
    model, images = small(build), slices(8)
    content = convert(model, "int8", images)  # refuses operators of floating point
    expected, received = np.array(model(images[:1])), _run(content, images[:1])
    assert np.sqrt(np.mean((received - expected) ** 2)) / expected.std() < INT8_ERROR
    assert np.mean(received.argmax(-1) == expected.argmax(-1)) > INT8_LABELS


def _run(content: bytes, images: np.ndarray) -> np.ndarray:
    """Logits of a file for one slice, by the runtime of the edge."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    if source["dtype"] == np.int8:
        scale, zero = source["quantization"]
        images = np.clip(np.round(images / scale + zero), -128, 127).astype("int8")
    interpreter.set_tensor(source["index"], images)
    interpreter.invoke()
    logits = interpreter.get_tensor(target["index"])
    if target["dtype"] == np.int8:
        scale, zero = target["quantization"]
        return (logits.astype("float32") - zero) * scale
    return logits


def _parts(config: object) -> list[dict]:
    """Every serialised object within a configuration."""
    if isinstance(config, list):
        return [part for item in config for part in _parts(item)]
    if not isinstance(config, dict):
        return []
    inner = [part for item in config.values() for part in _parts(item)]
    return [config, *inner] if "class_name" in config and "module" in config else inner
