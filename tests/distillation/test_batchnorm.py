import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.distillation.networks import network, same, slices, weights_of
from tfkd.distillation.batchnorm import recalibrate_batchnorm

NORM = layers.BatchNormalization


def two_norms(momentum: float = 0.9) -> keras.Model:
    """BatchNorm, dropout, convolution, BatchNorm; weights that all matter."""
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((4, 4, 2))
    x = NORM(momentum=momentum, name="first")(x)
    x = layers.SpatialDropout2D(0.5)(layers.GaussianNoise(1.0)(x))
    x = layers.Conv2D(3, 1, use_bias=False, name="conv")(x)
    model = keras.Model(inputs, NORM(momentum=momentum, name="second")(x))
    model.get_layer("first").gamma.assign([2.0, 0.5])
    model.get_layer("first").beta.assign([0.3, -0.1])
    return model


def batches(*sizes: int) -> list[np.ndarray]:
    """Batches with moments of their own."""
    rng = np.random.default_rng(0)
    return [rng.normal(k, 1 + k, (size, 4, 4, 2)).astype("float32") for k, size in enumerate(sizes)]


def state_of(model: keras.Model) -> list[np.ndarray]:
    """Every variable, states of random generators included, and the momenta and rates."""
    settings = [
        getattr(layer, name)
        for layer in model.layers
        for name in ("momentum", "rate", "stddev")
        if hasattr(layer, name)
    ]
    return [*(np.array(variable) for variable in model.variables), np.array(settings)]


@pytest.mark.parametrize("sizes", [(4, 4), (1, 5), (3, 2, 6)])
def test_first_layer_has_the_moments_of_the_dataset(sizes):
    model, data = two_norms(), batches(*sizes)
    assert recalibrate_batchnorm(model, data) == len(sizes)
    pixels = np.concatenate(data).astype("float64")
    first = model.get_layer("first")
    np.testing.assert_allclose(first.moving_mean, pixels.mean((0, 1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(first.moving_variance, pixels.var((0, 1, 2)), rtol=1e-5)


def test_second_layer_sees_what_the_first_normalised_by_the_batch():
    model, data = two_norms(), batches(3, 5)
    recalibrate_batchnorm(model, data)
    kernel = np.array(model.get_layer("conv").kernel)[0, 0].astype("float64")
    means, squares, weights = [], [], []
    for x in data:
        scaled = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-3)
        features = (scaled * [2.0, 0.5] + [0.3, -0.1]) @ kernel
        means.append(features.mean((0, 1, 2)))
        squares.append((features**2).mean((0, 1, 2)))
        weights.append(len(x))
    mean = np.average(means, axis=0, weights=weights)
    variance = np.average(squares, axis=0, weights=weights) - mean**2
    second = model.get_layer("second")
    np.testing.assert_allclose(second.moving_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(second.moving_variance, variance, rtol=1e-4)


def test_one_batch_equals_a_step_with_momentum_zero():
    (batch,) = batches(6)
    model, stepped = two_norms(), two_norms(momentum=0.0)
    for layer in stepped.layers:
        layer.rate = layer.stddev = 0.0
    stepped(batch, training=True)
    recalibrate_batchnorm(model, [batch])
    for ours, theirs in zip(weights_of(model), weights_of(stepped), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_everything_but_the_statistics_is_bit_identical():
    model = two_norms()
    before = state_of(model)
    recalibrate_batchnorm(model, batches(2, 2))
    changed = [not np.array_equal(a, b) for a, b in zip(before, state_of(model), strict=True)]
    names = [variable.path for variable in model.variables] + ["settings"]
    moved = {name for name, is_new in zip(names, changed, strict=True) if is_new}
    assert moved == {f"{n}/moving_{m}" for n in ("first", "second") for m in ("mean", "variance")}


def test_does_not_depend_on_the_old_statistics():
    model, again = two_norms(), two_norms()
    again.get_layer("first").moving_mean.assign([np.nan, 1e30])
    for each in (model, again):
        recalibrate_batchnorm(each, batches(2, 3))
    assert same(weights_of(model), weights_of(again))


def test_an_error_half_way_leaves_everything():
    def broken():
        yield from batches(2)
        raise OSError("the disk is gone")

    model = two_norms()
    before = state_of(model)
    with pytest.raises(OSError, match="disk"):
        recalibrate_batchnorm(model, broken())
    assert same(before, state_of(model))


@pytest.mark.parametrize(
    ("dataset", "steps", "message"),
    [
        ([], None, "at least one batch"),
        (batches(2), 0, "steps to be at least 1.*Received 0"),
        ([np.full((2, 4, 4, 2), np.nan, "float32")], None, "finite.*first, second"),
    ],
)
def test_bad_arguments_change_nothing(dataset, steps, message):
    model = two_norms()
    before = state_of(model)
    with pytest.raises(ValueError, match=message):
        recalibrate_batchnorm(model, dataset, steps)
    assert same(before, state_of(model))


def test_frozen_layers_keep_their_statistics():
    model = two_norms()
    model.get_layer("first").trainable = False
    before = [np.array(weight) for weight in model.get_layer("first").weights]
    second = np.array(model.get_layer("second").moving_mean)
    assert recalibrate_batchnorm(model, batches(4)) == 1
    assert same(before, [np.array(weight) for weight in model.get_layer("first").weights])
    assert not np.array_equal(second, model.get_layer("second").moving_mean)


def test_without_a_layer_to_recalibrate_nothing_is_read():
    def unread():
        pytest.fail("the dataset was read")
        yield

    frozen = two_norms()
    frozen.trainable = False
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    assert recalibrate_batchnorm(frozen, unread()) == 0
    assert recalibrate_batchnorm(plain, unread()) == 0


def test_batch_renormalisation_is_refused():
    model = keras.Sequential([keras.Input((2,)), NORM(renorm=True, name="renormed")])
    with pytest.raises(ValueError, match="renorm=True in renormed"):
        recalibrate_batchnorm(model, [])


def test_nested_models_are_included():
    inner = two_norms()
    inputs = keras.Input((4, 4, 2))
    outer = keras.Model(inputs, inner(inputs))
    data = batches(2, 4)
    recalibrate_batchnorm(outer, data)
    expected = np.concatenate(data).mean((0, 1, 2))
    np.testing.assert_allclose(inner.get_layer("first").moving_mean, expected, rtol=1e-5)


@pytest.mark.parametrize("form", ["x", "(x, y)", "(x, y, w)", "dict"])
def test_forms_of_a_dataset(form):
    x, y = slices(6)
    weight = np.ones(6, "float32")
    data = {
        "x": x,
        "(x, y)": (x, y),
        "(x, y, w)": (x, y, weight),
        "dict": (x, {"mask": y, "cache": weight}),
    }[form]
    model, expected = network(2), network(2)
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(4)
    assert recalibrate_batchnorm(model, dataset) == 2
    recalibrate_batchnorm(expected, [x[:4], x[4:]])
    assert same(weights_of(model), weights_of(expected))


def test_steps_bound_an_endless_dataset():
    x, _ = slices(4)
    model, expected = network(2), network(2)
    dataset = tf.data.Dataset.from_tensors(x).repeat()
    assert recalibrate_batchnorm(model, dataset, steps=3) == 3
    assert recalibrate_batchnorm(expected, [x], steps=5) == 1
    for ours, theirs in zip(weights_of(model), weights_of(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_runs_on_jax():
    pytest.importorskip("jax", reason="JAX is not installed")
    code = """
import keras, numpy as np
from tests.distillation.test_batchnorm import batches, two_norms
from tfkd.distillation.batchnorm import recalibrate_batchnorm
assert keras.backend.backend() == "jax"
model, data = two_norms(), batches(2, 5)
assert recalibrate_batchnorm(model, data) == 2
pixels = np.concatenate(data)
np.testing.assert_allclose(model.get_layer("first").moving_variance, pixels.var((0, 1, 2)), 1e-4)
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
