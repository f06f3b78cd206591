"""A training that takes moments, and a way to stop it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.callbacks import AverageWeights, fit_resumable
from tfkd.metrics import SliceDice

STEPS = 3
EPOCHS = 3
SIZE = 8


class Killed(BaseException):
    """Stands for a kill: nothing in the library may catch it."""


@dataclass(frozen=True)
class Data:
    """Random slices; batch `step` of epoch `epoch` is always the same."""

    steps_per_epoch: int = STEPS

    def stream(self, epoch: int = 0, step: int = 0) -> tf.data.Dataset:
        start = epoch * self.steps_per_epoch + step
        # Of unknown length, as streams of records are: Keras treats a known one differently.
        endless = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
        return endless.filter(lambda number: number >= 0).map(_batch)

    @property
    def validation(self) -> tf.data.Dataset:
        return tf.data.Dataset.range(900, 902).map(_batch)


def _batch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    noise = tf.random.stateless_normal((2, SIZE, SIZE, 1), tf.stack([number, 7]))
    return noise, tf.cast(noise[..., 0] > 0.3, tf.int32)


class KillAt(keras.callbacks.Callback):
    """Ends the process, so to speak, after a step or at an epoch's end."""

    def __init__(self, epoch: int, step: int | None) -> None:
        super().__init__()
        self.epoch, self.step = epoch, step
        self.running = -1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.running = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # A resumed epoch counts its batches anew; the kills here come in whole epochs.
        if self.running == self.epoch and batch == self.step:
            raise Killed

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch and self.step is None:
            raise Killed


def make_model(ema: bool = True, scaled: bool = False, width: int = 3) -> keras.Model:
    """A network with running statistics and dropout, compiled."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = keras.layers.Conv2D(width, 3, padding="same", name="first")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(0.3, seed=5, name="drop")(x)
    model = keras.Model(image, keras.layers.Conv2D(2, 1, name="logits")(x), name="tiny")
    schedule = keras.optimizers.schedules.CosineDecay(0.05, STEPS * EPOCHS)
    options = {"use_ema": True, "ema_momentum": 0.5} if ema else {}
    optimizer: Any = keras.optimizers.Adam(schedule, **options)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, dynamic_growth_steps=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=[SliceDice(2)])
    return model


def run(
    folder: Path,
    model: keras.Model,
    *callbacks: keras.callbacks.Callback,
    data: Data | None = None,
    epochs: int = EPOCHS,
    every_minutes: float | None = 0.0,
    **arguments: Any,
) -> dict[str, list[float]]:
    data = data or Data()
    return fit_resumable(
        model,
        data,
        epochs,
        folder=folder,
        validation_data=data.validation,
        callbacks=[AverageWeights(), *callbacks],
        every_minutes=every_minutes,
        verbose=0,
        **arguments,
    )


def check_same_weights(one: keras.Model, other: keras.Model) -> None:
    check_same_arrays(one.get_weights(), other.get_weights())


def check_same_arrays(one: Iterable[Any], other: Iterable[Any]) -> None:
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)
