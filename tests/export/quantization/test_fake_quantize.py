"""`FakeQuantize`: levels, gradient, and a range that follows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.export import FakeQuantize


def _with_range(low, high, **settings):
    layer = FakeQuantize(**settings)
    layer.set_weights([np.float32(low), np.float32(high), np.int32(1)])
    return layer


def test_levels():
    layer = _with_range(-1.0, 1.55)
    x = np.linspace(-2, 2, 4001, dtype="float32")
    y = np.unique(np.asarray(layer(x)))
    assert len(y) == 256
    assert 0.0 in y
    np.testing.assert_allclose(np.diff(y), 0.01, atol=1e-6)
    np.testing.assert_allclose(y[[0, -1]], [-1.0, 1.55], atol=1e-6)
    inside = x[(x > -1) & (x < 1.55)]
    np.testing.assert_allclose(layer(inside), inside, atol=0.00501)


def test_zero_is_a_level_of_any_range():
    layer = _with_range(-0.123, 0.777)
    np.testing.assert_array_equal(layer(np.zeros(3, "float32")), 0.0)
    np.testing.assert_array_equal(FakeQuantize()(np.zeros(3, "float32")), 0.0)


def test_gradient_is_that_of_the_clipping():
    layer = _with_range(-1.0, 1.0)
    x = tf.constant([-3.0, -0.505, 0.3, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x, training=False))
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 1, 1, 0])


def test_range_is_a_mean_at_first_and_then_a_moving_average():
    layer = FakeQuantize(momentum=0.5)
    assert not layer.has_range
    for high in (1.0, 3.0, 4.0):
        layer(np.array([-2.0, high], "float32"), training=True)
    assert layer.has_range
    # (1 + 3) / 2, then half of it and half of 4: a third would be less than 1 - momentum
    assert float(layer.high.numpy()) == pytest.approx(3.0)
    assert float(layer.low.numpy()) == pytest.approx(-2.0)


def test_range_holds_zero():
    layer = FakeQuantize()
    layer(np.array([2.0, 3.0], "float32"), training=True)
    assert float(layer.low.numpy()) == 0.0


@pytest.mark.parametrize("case", ["inference", "frozen", "fixed", "shared"])
def test_range_that_stays(case):
    layer = FakeQuantize(fixed_range=(0.0, 1.0)) if case == "fixed" else _with_range(0.0, 1.0)
    layer.trainable = case != "frozen"
    x = np.array([-5.0, 5.0], "float32")
    np.testing.assert_allclose(
        layer(x, training=case != "inference", observe=case != "shared"), [0.0, 1.0], atol=1e-6
    )
    layer.reset()
    assert layer.has_range == (case == "fixed")


def test_same_under_xla():
    layer = _with_range(-0.9, 1.1)
    x = tf.random.stateless_normal((64,), (0, 1))
    compiled = tf.function(lambda x: layer(x, training=True), jit_compile=True)
    other = _with_range(-0.9, 1.1)
    np.testing.assert_allclose(compiled(x), other(x, training=True), atol=1e-6)
    np.testing.assert_allclose(layer.get_weights(), other.get_weights(), atol=1e-6)


def test_config():
    layer = FakeQuantize(0.8, (0.0, 0.5), name="here")
    config = keras.saving.serialize_keras_object(layer)
    new = keras.saving.deserialize_keras_object(config)
    assert (new.momentum, new.fixed_range, new.name) == (0.8, (0.0, 0.5), "here")
    assert new.compute_output_shape((None, 3)) == (None, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"momentum": 1.0}, "momentum"), ({"fixed_range": (1.0, 2.0)}, "fixed_range")],
)
def test_bad_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        FakeQuantize(**settings)
