"""One harness that every network goes through, at 64² and a small width."""

import json
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from tfkd.export.convert import convert
from tfkd.models import with_taps
from tfkd.models.arguments import WIDTH_RANGE

Build = Callable[..., keras.Model]
"""A network of `tfkd.models`: (input_shape, num_classes, width) → model."""

SHAPE = (64, 64, 2)
CLASSES = 3
SMALL = 0.125


@cache
def small(build: Build) -> keras.Model:
    """A small network whose every weight matters, as after a training; checks leave it as it is.

    At its start a residual branch ends in zeros, and moving statistics do nothing: a comparison
    would not see them.
    """
    model = build(SHAPE, CLASSES, SMALL)
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
    return build(SHAPE, CLASSES, SMALL)


def slices(count: int = 2, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (count, *shape)).astype("float32")


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]


def check_shapes(build: Build) -> None:
    """Logits as large as the slice, taps at 1/2 and 1/8, at either size and the least width."""
    for model in (small(build), build((32, 96, 5), 4, WIDTH_RANGE[0])):
        _, height, breadth, _ = model.input_shape
        logits, low, high = with_taps(model).output_shape
        assert logits[:3] == (None, height, breadth)
        assert low[:3] == (None, height // 2, breadth // 2)
        assert high[:3] == (None, height // 8, breadth // 8)
    assert logits[3] == 4


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


def check_xla(build: Build) -> None:
    """The forward pass and the gradient of a training step have an XLA program."""
    model, images = small(build), tf.constant(slices())

    @tf.function(jit_compile=True)
    def gradients(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(images, training=True)))
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    # An operator that XLA lacks is found here; machine code as well would take a quarter minute.
    assert "HloModule" in gradients.experimental_get_compiler_ir(images)(stage="hlo")


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


def check_saving(build: Build, folder: Path) -> None:
    """A saved model is made of stock Keras parts, so it loads where `tfkd` is not installed."""
    model = small(build)
    model.save(folder / "model.keras")
    with zipfile.ZipFile(folder / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    foreign = {
        part["module"]
        for part in _parts(config)
        if not str(part["module"]).startswith("keras.") or part["registered_name"]
        if part["class_name"] != "Functional"
    }
    assert not foreign - {"keras"}
    loaded = keras.saving.load_model(folder / "model.keras")
    np.testing.assert_array_equal(loaded(slices()), model(slices()))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


def check_litert(build: Build) -> None:
    """A LiteRT file with builtin operators only, which gives what Keras gives."""
    model, images = small(build), slices(1)
    interpreter = Interpreter(model_content=convert(model, "float32", None))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    logits = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(logits, model(images), rtol=1e-3, atol=1e-4)


def _parts(config: object) -> list[dict]:
    """Every serialised object within a configuration."""
    if isinstance(config, list):
        return [part for item in config for part in _parts(item)]
    if not isinstance(config, dict):
        return []
    inner = [part for item in config.values() for part in _parts(item)]
    return [config, *inner] if "class_name" in config and "module" in config else inner
