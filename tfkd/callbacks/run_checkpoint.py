"""The whole state of a training, kept so that a killed run ends as one that was not killed."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import ops

from tfkd.callbacks.checkpoint_file import read_checkpoint, read_facts, write_checkpoint
from tfkd.errors import RecordError, TrainingInterrupted

__all__ = ["Position", "RunCheckpoint"]


@dataclass(frozen=True)
class Position:
    """Where a training stands.

    Attributes:
        epoch: The running epoch, from 0; the number of finished ones.
        step: Steps of it that are done.
        stopped: Whether a callback has ended the training early.
    """

    epoch: int = 0
    step: int = 0
    stopped: bool = False


class RunCheckpoint(keras.callbacks.Callback):
    """Saves all that a training consists of, and continues from it.

    `checkpoint.npz` holds the model's variables (weights, running statistics, seeds of dropout),
    the optimizer's (moments, steps, loss scale, averaged weights), the metrics of the running
    epoch, the position, and the logs of the finished epochs. It is written at each epoch's end, and
    every so often in between. A kill at any moment, `kill -9` included, leaves a valid file.

    With a file there, `fit` starts from that state. It must be told the position, as
    `fit_resumable` does, which also brings the data to the right batch. Give this callback last:
    what the others do at an epoch's end then comes before the state is saved, and is done again if
    a kill comes between.

    After the last step of an epoch nothing is saved before its validation is over, since Keras
    cannot begin an epoch with its validation.

    Args:
        folder: Folder for `checkpoint.npz`.
        every_minutes: Time between two saves in mid-epoch, looked at after each step; 0 saves after
            each. None saves at the end of an epoch only, as several workers must: they read the
            state together, and their clocks differ.
        writes: Whether this process writes the file, or another worker does.

    Raises:
        ValueError: If `every_minutes` is negative.
        RecordError: In `fit`, if the file cannot be read, is of a model with other variables (the
            first that differs is named) or of epochs of another length, or is not where this `fit`
            begins.
        TrainingInterrupted: In `fit`, after `request_stop`, once the state is saved.
    """

    FILE_NAME = "checkpoint.npz"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every_minutes: float | None = 10.0,
        *,
        writes: bool = True,
    ) -> None:
        super().__init__()
        if every_minutes is not None and every_minutes < 0:
            raise ValueError(
                f"Expected every_minutes of at least 0. Received: every_minutes={every_minutes}"
            )
        self.path = Path(folder) / self.FILE_NAME
        self.every_minutes = every_minutes
        self._writes = writes
        self._rows: list[dict[str, float]] = []
        self._resumed: Position | None = None
        self._start = Position()
        self._epoch = 0
        self._steps = 0
        self._saved_at = 0.0
        self._stop_requested = False

    @property
    def position(self) -> Position:
        """Where the saved training stands; the beginning, if none is saved."""
        if not self.path.exists():
            return Position()
        return _position_of(read_facts(self.path))

    @property
    def rows(self) -> list[dict[str, float]]:
        """Logs of every finished epoch of the saved training."""
        if not self._writes and self._rows:
            return self._rows  # the file may be a moment behind
        return read_facts(self.path)["rows"] if self.path.exists() else []

    def check_steps_per_epoch(self, steps: int) -> None:
        """Raises a `RecordError` if the saved training has epochs of another length."""
        if not self.path.exists():
            return
        saved = read_facts(self.path)["steps_per_epoch"]
        if saved != steps:
            raise RecordError(
                f"{self.path}: expected epochs of {saved} steps, as the run was begun with. "
                f"Received {steps}. Go on with the same data, batch size and steps per epoch, or "
                "choose another folder."
            )

    def request_stop(self) -> None:
        """Asks for the end of the training after the running step; may come from a signal."""
        self._stop_requested = True

    def remove(self) -> None:
        """Removes the file, once the training's result is safe."""
        self.path.unlink(missing_ok=True)
        self.path.with_name(self.path.name + ".partial").unlink(missing_ok=True)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Takes the saved state."""
        steps = self.params.get("steps")
        if steps is None:
            raise ValueError(
                "Expected `fit` to know how many steps an epoch has. Received a dataset that does "
                "not say. Pass `steps_per_epoch`."
            )
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        self._start, self._rows = Position(), []
        self._resumed = None
        if self.path.exists():
            facts = self._restore("state")
            self._start, self._rows = _position_of(facts), facts["rows"]
            self._resumed = self._start
        self._steps = steps + self._start.step
        self.check_steps_per_epoch(self._steps)
        self._saved_at = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Takes the running epoch's metrics, which Keras has just reset."""
        self._epoch = epoch
        if self._resumed is None:
            return
        if epoch != self._resumed.epoch:
            raise RecordError(
                f"{self.path}: expected `fit` to begin with epoch {self._resumed.epoch}, where the "
                f"saved run stands. Received initial_epoch={epoch}. Use "
                "`tfkd.callbacks.fit_resumable`, or remove the file."
            )
        if self._resumed.step:
            self._restore("metrics")
        self._resumed = None

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Saves if it is time or a stop was asked for."""
        step = self._first_step + batch + 1
        if step >= self._steps:
            return
        where = f"after step {step} of {self._steps} of epoch {self._epoch}"
        if self.every_minutes is None:
            self._stop_if_requested(where, f"the state at the epoch's begin is in {self.path}")
        elif self._stop_requested or self._is_time(self.every_minutes):
            self._save(Position(self._epoch, step))
            self._stop_if_requested(where)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Saves."""
        self._rows.append({name: float(value) for name, value in (logs or {}).items()})
        self._save(Position(epoch + 1, 0, bool(self.model.stop_training)))
        self._stop_if_requested(f"after epoch {epoch}")

    @property
    def _first_step(self) -> int:
        """Steps of the running epoch that an earlier `fit` has done."""
        return self._start.step if self._epoch == self._start.epoch else 0

    def _is_time(self, every_minutes: float) -> bool:
        return time.monotonic() - self._saved_at >= 60 * every_minutes

    def _stop_if_requested(self, where: str, saved: str | None = None) -> None:
        if self._stop_requested:
            saved = saved or f"the state is in {self.path}"
            if self.every_minutes is None and not self._rows:
                saved = "nothing was saved yet"
            raise TrainingInterrupted(f"stopped {where}, counted from 0; {saved}")

    def _variables(self) -> dict[str, list[Any]]:
        model = self.model
        return {
            "state": [*model.variables, *model.optimizer.variables],
            "metrics": model.metrics_variables,
        }

    def _save(self, position: Position) -> None:
        variables = self._variables()
        facts = {
            "epoch": position.epoch,
            "step": position.step,
            "stopped": position.stopped,
            "steps_per_epoch": self._steps,
            "rows": self._rows,
            "variables": {name: _described(listed) for name, listed in variables.items()},
        }
        arrays = {name: [ops.convert_to_numpy(v) for v in vs] for name, vs in variables.items()}
        if self._writes:
            write_checkpoint(self.path, facts, arrays)
        self._saved_at = time.monotonic()

    def _restore(self, name: str) -> dict[str, Any]:
        facts, arrays = read_checkpoint(self.path, [name])
        variables = self._variables()[name]
        _check_same(self.path, facts["variables"][name], _described(variables))
        for variable, value in zip(variables, arrays[name], strict=True):
            variable.assign(value)
        return facts


def _position_of(facts: Mapping[str, Any]) -> Position:
    return Position(facts["epoch"], facts["step"], facts["stopped"])


def _described(variables: Sequence[Any]) -> list[str]:
    """Name, shape and type of each, without the counters that Keras puts behind names.

    The second model that a notebook makes has `conv2d_7` where the first had `conv2d_2`.
    """
    names = [re.sub(r"_[0-9]+", "", variable.path) for variable in variables]
    kinds = [keras.backend.standardize_dtype(variable.dtype) for variable in variables]
    return [
        f"{name} {tuple(variable.shape)} {kind}"
        for name, variable, kind in zip(names, variables, kinds, strict=True)
    ]


def _check_same(path: Path, saved: Sequence[str], given: Sequence[str]) -> None:
    for index in range(max(len(saved), len(given))):
        expected, received = (v[index] if index < len(v) else "no more" for v in (saved, given))
        if expected != received:
            raise RecordError(
                f"{path}: expected the model and optimizer that the run was begun with. Variable "
                f"{index} was {expected} and is {received}. Build and compile the same model, or "
                "choose another folder."
            )
