"""`tfkd` with a small network, two logical CPUs for two GPUs, or killed at the begin of an epoch.

Usage: strategy_main.py CPUS KILL_AT_EPOCH WORDS…, in a process of its own; −1: not killed.
"""

import os
import signal
import sys
from typing import Any

import keras
from keras import layers

import tfkd.models
from tfkd.cli.main import main
from tfkd.models.blocks import batch_norm


def small_network(
    name: str, input_shape: tuple[int, int, int], num_classes: int, width: float
) -> keras.Model:
    """All that replicas must agree on: gradients, and the library's moments of a global batch."""
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(4, 3, 2, padding="same", name="low")(image)
    x = layers.ReLU(name="tap_low")(batch_norm(x, "low_bn"))
    x = layers.Conv2D(4, 3, 4, padding="same", name="high")(x)
    x = layers.ReLU(name="tap_high")(batch_norm(x, "high_bn"))
    x = layers.UpSampling2D(8, interpolation="bilinear", name="up")(x)
    x = layers.Concatenate(name="both")([image, x])
    return keras.Model(image, layers.Conv2D(num_classes, 1, name="logits")(x), name="small")


def split_cpu(count: int) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, parts)


def kill_at(wanted: int) -> None:
    from tfkd.callbacks import RunCheckpoint

    begin = RunCheckpoint.on_epoch_begin

    def on_epoch_begin(self: RunCheckpoint, epoch: int, logs: Any = None) -> None:
        if epoch == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        begin(self, epoch, logs)

    RunCheckpoint.on_epoch_begin = on_epoch_begin


if __name__ == "__main__":
    tfkd.models.build = small_network
    if int(sys.argv[1]) > 1:
        split_cpu(int(sys.argv[1]))
    if int(sys.argv[2]) >= 0:
        kill_at(int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
