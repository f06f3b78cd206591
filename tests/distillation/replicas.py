"""What goes wrong in one of two replicas; run by `test_replicas.py` as a process of its own."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distillation.networks import network, slices
from tfkd.distillation import Distiller
from tfkd.errors import TrainingError
from tfkd.losses import FocalDice
from tfkd.records import encode_case_ids


def distiller_of(optimizer: keras.optimizers.Optimizer, half: bool = False) -> Distiller:
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        student = network(4, seed=2)
        if half:  # its gradients are as large as its images are bright
            image = keras.Input((16, 16, 1))
            student = keras.Model(image, keras.layers.Conv2D(3, 1, dtype="mixed_float16")(image))
        distiller = Distiller(None, student)
        distiller.compile(optimizer, FocalDice())
    return distiller


def fit(distiller: Distiller, x: np.ndarray, y: np.ndarray) -> None:
    names = encode_case_ids(["a"] * 4 + ["b"] * 4)
    targets = {"mask": y, "case_id": names, "slice_index": np.arange(8, dtype="int32")}
    data = tf.data.Dataset.from_tensor_slices((x, targets)).batch(8, drop_remainder=True)
    distiller.fit(data, shuffle=False, verbose=0)


def check_overflow(bad: int | None) -> None:
    """An overflow of the scaled gradients in either replica skips the step in both."""
    x, y = slices(8)
    if bad is not None:
        x[bad] *= 1e3  # in one replica, gradients beyond float16; the losses stay finite
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), 2.0**15)
    distiller = distiller_of(optimizer, half=True)
    before = [keras.ops.convert_to_numpy(v) for v in distiller.trainable_variables]
    fit(distiller, x, y)
    after = [keras.ops.convert_to_numpy(v) for v in distiller.trainable_variables]
    skipped = all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    assert skipped == (bad is not None)
    assert all(np.all(np.isfinite(one)) for one in after)
    scale = keras.ops.convert_to_numpy(optimizer.dynamic_scale)
    assert scale == (2.0**14 if skipped else 2.0**15)


def check_names(bad: int) -> None:
    """The slices of all replicas are named, as a batch's Dice spoils the loss of each."""
    x, y = slices(8)
    x[bad] = np.nan
    with pytest.raises(TrainingError, match="a 0, a 1, a 2, a 3, b 4, b 5, b 6, b 7"):
        fit(distiller_of(keras.optimizers.SGD(0.1)), x, y)


def check_unlabelled() -> None:
    """The global loss is that of one device where all slices without labels are in one replica."""
    x, y = slices(8)
    y[4:] = 255
    y[3, :8] = 255
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        image = keras.Input((16, 16, 1))
        student = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(image))
        distiller = Distiller(None, student)
        distiller.compile(keras.optimizers.SGD(0.1), FocalDice())
    expected = float(FocalDice()(y, student(x)))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8, drop_remainder=True)
    found = distiller.fit(data, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    if "unlabelled" in sys.argv:  # a process has one sequence of collective operations
        check_unlabelled()
        sys.exit()
    for bad in (None, 0, 7):
        check_overflow(bad)
    for bad in (0, 7):
        check_names(bad)
