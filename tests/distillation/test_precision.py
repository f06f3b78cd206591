"""Half-precision students under a float32 teacher."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distillation.networks import network, slices
from tfkd.distillation import Distiller, methods
from tfkd.losses import FocalDice


def distiller_of(dtype: str | None, **compile_args) -> Distiller:
    distiller = Distiller(network(8, seed=1), network(4, seed=2, dtype=dtype), *methods.emkd())
    optimizer = compile_args.pop("optimizer", keras.optimizers.Adam(1e-2))
    distiller.compile(optimizer, FocalDice(), **compile_args)
    return distiller


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_the_losses_are_near_those_of_float32(dtype):
    x, y = slices(16)
    low, full = (distiller_of(d).fit(x, y, epochs=3, verbose=0).history for d in (dtype, None))
    for name, curve in full.items():
        np.testing.assert_allclose(low[name], curve, rtol=0.1, atol=0.01)
    assert low["loss"][-1] < low["loss"][0]


def test_distillation_losses_are_float32():
    x, y = slices(8)
    distiller = distiller_of("mixed_float16")
    outputs = distiller._student_pass(tf.constant(x))
    assert {tensor.dtype for tensor in outputs["student"][0]} == {tf.float16}
    values = distiller._terms(distiller._teach(x)["tensors"], outputs["student"], y, 3)
    assert {value.dtype for value in values} == {tf.float32}


def test_float16_gets_loss_scaling_whatever_the_global_policy():
    scaled = keras.optimizers.LossScaleOptimizer
    assert isinstance(distiller_of("mixed_float16").optimizer, scaled)
    assert not isinstance(distiller_of("mixed_bfloat16").optimizer, scaled)
    assert not isinstance(distiller_of(None).optimizer, scaled)
    assert not isinstance(distiller_of("mixed_float16", auto_scale_loss=False).optimizer, scaled)
    own = scaled(keras.optimizers.SGD(0.1))
    assert distiller_of("mixed_float16", optimizer=own).optimizer is own


def test_scaling_holds_small_gradients_off_zero():
    """A loss of 1e-7 has gradients below float16's least number; scaled, they move the weights."""
    x, y = slices(8)

    class Small(keras.losses.Loss):
        def call(self, labels, logits):
            return 1e-7 * keras.ops.mean(keras.ops.cast(logits, "float32"), axis=(1, 2, 3))

    moved = []
    for scale in (True, False):
        student = network(4, seed=2, dtype="mixed_float16")
        distiller = Distiller(None, student)
        distiller.compile(keras.optimizers.SGD(1e5), Small(), auto_scale_loss=scale)
        before = np.array(student.trainable_variables[0])
        distiller.fit(x, y, batch_size=8, verbose=0)
        moved.append(np.abs(np.array(student.trainable_variables[0]) - before).max())
    assert moved[0] > 0
    assert moved[0] > 1.5 * moved[1]


def test_a_global_policy_does_not_reach_the_images_or_the_teacher():
    x, y = slices(8)
    teacher = network(8, seed=1)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        student = network(4, seed=2)
        distiller = Distiller(teacher, student, *methods.emkd())
        distiller.compile("sgd", FocalDice())
        history = distiller.fit(x, y, verbose=0).history
    finally:
        keras.config.set_dtype_policy(policy)
    assert {variable.dtype for variable in distiller.trainable_variables} == {"float32"}
    assert np.all(np.isfinite(history["loss"]))
    assert distiller._teach(x)["logits"][0].dtype == tf.float32
