"""`fit` that goes on where a killed run stopped, in the middle of an epoch if need be."""

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import keras

from tfkd.callbacks.best_student import BestStudent
from tfkd.callbacks.resumable import ResumableCallback
from tfkd.callbacks.run_checkpoint import RunCheckpoint
from tfkd.records.damage import naming_damage_in

__all__ = ["ResumableData", "fit_resumable"]


class ResumableData(Protocol):
    """Training data that can begin at any batch, such as `tfkd.records.CTRecords`."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""

    def stream(self, epoch: int = 0, step: int = 0) -> Any:
        """Endless `tf.data.Dataset` from batch `step` of epoch `epoch` on; the same each time."""


def fit_resumable(
    model: keras.Model,
    data: ResumableData,
    epochs: int,
    *,
    folder: str | os.PathLike[str],
    validation_data: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    every_minutes: float | None = 10.0,
    writes: bool = True,
    **fit_arguments: Any,
) -> dict[str, list[float]]:
    """Trains a compiled model; called again after a kill, it continues from the last checkpoint.

    The end is that of the uninterrupted training: the same batches, weights and history, bit for
    bit on a CPU, and on a GPU with `tf.config.experimental.enable_op_determinism()`. Called again
    after the end it trains no further and gives the same result again, until
    `RunCheckpoint(folder).remove()`; a larger `epochs` trains on.

    SIGTERM, which a cluster sends before it kills, ends the training after the running step with
    everything saved. Keras' own stateful callbacks (`ReduceLROnPlateau`, `EarlyStopping`) begin
    anew in a resumed run; use `BestStudent` to stop early, and a schedule for the learning rate.

    Args:
        model: Built and compiled model.
        data: Training data.
        epochs: Number of epochs in all, at least 1.
        folder: Folder for the checkpoint.
        validation_data: As in `keras.Model.fit`.
        callbacks: Further callbacks. A `ResumableCallback` is told what was before.
        every_minutes: Time between two checkpoints in mid-epoch; see `RunCheckpoint`.
        writes: Whether this process writes the checkpoint; of several workers, the first does.
        **fit_arguments: Further arguments of `keras.Model.fit`.

    Returns:
        Every logged value by name, one per epoch from the first one on, as in
        `keras.callbacks.History`; NaN where an epoch did not log it.

    Raises:
        ValueError: If training should stop early without validation data.
        RecordError: If the checkpoint does not fit, see `RunCheckpoint`, or a shard is damaged.
        TrainingInterrupted: After SIGTERM. Call again to go on.

    Example:
        >>> history = fit_resumable(distiller, data, 30, folder="run",
        ...                         validation_data=data.validation)
    """
    _check_can_stop(callbacks, validation_data)
    checkpoint = RunCheckpoint(folder, every_minutes, writes=writes)
    steps = data.steps_per_epoch
    checkpoint.check_steps_per_epoch(steps)

    def fit(first_epoch: int, end_epoch: int, step: int) -> None:
        rows = checkpoint.rows
        for callback in callbacks:
            if isinstance(callback, ResumableCallback):
                callback.on_resume(rows)
        model.fit(
            data.stream(first_epoch, step),
            validation_data=validation_data,
            initial_epoch=first_epoch,
            epochs=end_epoch,
            steps_per_epoch=steps - step,
            callbacks=[*callbacks, checkpoint],
            shuffle=False,  # the stream is; Keras would warn that it does not
            **fit_arguments,
        )

    with naming_damage_in(getattr(data, "data", data)), _on_sigterm(checkpoint.request_stop):
        start = checkpoint.position
        if start.step:
            # Makes the metrics' variables, which Keras otherwise makes in the first step.
            model.evaluate(data.stream(start.epoch, start.step), steps=1, verbose=0)
            fit(start.epoch, start.epoch + 1, start.step)
            start = checkpoint.position
        # Also where nothing is left to train: it takes the saved weights, and their average.
        fit(start.epoch, start.epoch if start.stopped else max(epochs, start.epoch), 0)
    return _columns(checkpoint.rows)


def _check_can_stop(callbacks: Sequence[keras.callbacks.Callback], validation_data: Any) -> None:
    stopping = [c for c in callbacks if isinstance(c, BestStudent) and c.patience is not None]
    if stopping and validation_data is None:
        raise ValueError(
            "Expected validation data, since BestStudent stops early by its value. Received: "
            f"validation_data=None, patience={stopping[0].patience}. Pass validation data or "
            "patience=None."
        )


@contextmanager
def _on_sigterm(handle: Callable[[], None]) -> Iterator[None]:
    """Calls `handle` upon SIGTERM inside the block; Python allows it in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: handle())
    try:
        yield
    finally:
        # None stands for a handler that was not installed from Python and cannot be put back.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _columns(rows: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, math.nan) for row in rows] for name in names}
