"""`tfkd`, with a small network in place of all others, ended by a signal after so many steps.

Usage: interrupted_main.py SIGNAL STEPS WORDS…, in a process of its own; 0 steps: not ended.
"""

import os
import signal
import sys
from typing import Any

import keras
from keras import layers

import tfkd.models
from tfkd.callbacks import RunCheckpoint
from tfkd.cli.main import main


def small_network(
    name: str, input_shape: tuple[int, int, int], num_classes: int, width: float
) -> keras.Model:
    """All that a checkpoint must hold of a network: weights, running statistics, dropout."""
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(4, 3, 2, padding="same", name="low")(image)
    x = layers.BatchNormalization(name="tap_low")(x)
    x = layers.SpatialDropout2D(0.2, name="drop")(x)
    x = layers.Conv2D(4, 3, 4, padding="same", name="tap_high")(x)
    x = layers.UpSampling2D(8, interpolation="bilinear", name="up")(x)
    x = layers.Concatenate(name="both")([image, x])
    logits = layers.Conv2D(num_classes, 1, name="logits")(x)
    return keras.Model(image, logits, name="small")


def end_after(steps: int, name: signal.Signals) -> None:
    """Sends the signal in a step: SIGTERM before its checkpoint, as the library must make one."""
    save = RunCheckpoint.on_train_batch_end
    seen = 0

    def on_train_batch_end(self: RunCheckpoint, batch: int, logs: Any = None) -> None:
        nonlocal seen
        seen += 1
        if seen == steps and name == signal.SIGTERM:
            os.kill(os.getpid(), name)
        save(self, batch, logs)
        if seen == steps:
            os.kill(os.getpid(), name)

    RunCheckpoint.on_train_batch_end = on_train_batch_end


if __name__ == "__main__":
    tfkd.models.build = small_network
    if int(sys.argv[2]):
        end_after(int(sys.argv[2]), signal.Signals[sys.argv[1]])
    sys.exit(main(sys.argv[3:]))
