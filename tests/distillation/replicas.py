"""What goes wrong in one of two replicas; run by `test_replicas.py` as a process of its own."""

import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras
import numpy as np

from tests.distillation.networks import network, slices
from tfkd.distillation import Distiller
from tfkd.errors import TrainingError
from tfkd.losses import FocalDice
from tfkd.records import encode_case_ids

SCALE = 2.0**15


def distiller_of(dtype: str | None, optimizer: keras.optimizers.Optimizer) -> Distiller:
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        distiller = Distiller(None, network(4, seed=2, dtype=dtype))
        distiller.compile(optimizer, FocalDice())
    return distiller


def fit(distiller: Distiller, x: np.ndarray, y: np.ndarray) -> None:
    names = encode_case_ids(["a"] * 4 + ["b"] * 4)
    targets = {"mask": y, "case_id": names, "slice_index": np.arange(8, dtype="int32")}
    data = tf.data.Dataset.from_tensor_slices((x, targets)).batch(8, drop_remainder=True)
    distiller.fit(data, shuffle=False, verbose=0)


def check_overflow(bad: int) -> None:
    """An overflow of the scaled gradients in either replica skips the step in both."""
    x, y = slices(8)
    x[bad] *= 1e3  # in half of the batch, gradients beyond float16; the losses stay finite
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), 2.0**24)
    distiller = distiller_of("mixed_float16", optimizer)
    before = [keras.ops.convert_to_numpy(v) for v in distiller.trainable_variables]
    fit(distiller, x, y)
    for old, new in zip(before, distiller.trainable_variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(new), old)
    assert float(optimizer.dynamic_scale) == 2.0**23


def check_names(bad: int) -> None:
    """The slices of all replicas are named, as a batch's Dice spoils the loss of each."""
    x, y = slices(8)
    x[bad] = np.nan
    try:
        fit(distiller_of(None, keras.optimizers.SGD(0.1)), x, y)
    except TrainingError as error:
        assert "a 0, a 1, a 2, a 3, b 4, b 5, b 6, b 7" in str(error), error
    else:
        raise AssertionError("Expected a TrainingError.")


if __name__ == "__main__":
    for bad in (0, 7):
        check_overflow(bad)
        check_names(bad)
