"""The student of the best epoch, and the end of a training that has stopped getting better."""

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import keras

from tfkd.callbacks.average_weights import averaged_weights
from tfkd.callbacks.resumable import ResumableCallback
from tfkd.models import save_network

__all__ = ["BestStudent"]


class BestStudent(ResumableCallback):
    """Keeps the student of the epoch with the best validation value as `best.keras`.

    Where the optimizer averages weights, the averaged ones are kept; `AverageWeights` lets the
    validation judge the same ones. Equal values are no improvement, and neither is NaN, which
    `SliceDice` gives if no foreground class was seen. Without validation data nothing is kept.

    The file is replaced when the next epoch begins, or the training ends: before that, a kill could
    come between the file and the checkpoint that knows of it. Meanwhile the student lies beside
    it, as `best.next-<epoch>.keras`.

    Args:
        folder: Folder for `best.keras`.
        student: Network to keep, such as `distiller.student`: one input, one output.
        monitor: Name of the value in the logs of an epoch.
        mode: Whether a large or a small value is good.
        patience: Stop after so many epochs without an improvement, at least 1; None never stops.

    Raises:
        ValueError: If `patience` is no positive number; and after the first epoch, if the
            validation does not give the monitored value.

    Example:
        >>> BestStudent("run", distiller.student, patience=10)
    """

    FILE_NAME = "best.keras"
    NEXT_FILE_NAMES = "best.next-*.keras"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        student: keras.Model,
        monitor: str = "val_slice_dice",
        mode: Literal["max", "min"] = "max",
        patience: int | None = None,
    ) -> None:
        super().__init__()
        if patience is not None and patience < 1:
            raise ValueError(
                f"Expected patience of at least 1 epoch, or None. Received: patience={patience}"
            )
        self.path = Path(folder) / self.FILE_NAME
        self.student = student
        self.monitor = monitor
        self.patience = patience
        self.best_epoch: int | None = None
        self.best_value = math.nan
        self._sign = {"max": 1.0, "min": -1.0}[mode]

    def on_resume(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Finds the best of the finished epochs, and removes the files of all that come after."""
        self.best_epoch, self.best_value = None, math.nan
        for epoch, row in enumerate(rows):
            self._is_best(epoch, row.get(self.monitor, math.nan))
        self._replace_best()
        stale = list(self.path.parent.glob(self.NEXT_FILE_NAMES))
        for path in stale if rows else [*stale, self.path]:
            path.unlink(missing_ok=True)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keeps the best student for good, now that the checkpoint has its epoch."""
        self._replace_best()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keeps the student if it is the best so far, and stops if it is not for long."""
        logs = logs or {}
        if self.monitor not in logs:
            self._check_validated(logs)
            return
        if self._is_best(epoch, float(logs[self.monitor])):
            with averaged_weights(self.model):
                save_network(self.student, self._next_path(epoch))
        since = epoch - (-1 if self.best_epoch is None else self.best_epoch)
        if self.patience is not None and since >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Keeps the best student for good."""
        self._replace_best()

    def _next_path(self, epoch: int) -> Path:
        return self.path.with_name(self.NEXT_FILE_NAMES.replace("*", str(epoch)))

    def _replace_best(self) -> None:
        if self.best_epoch is not None:
            with contextlib.suppress(FileNotFoundError):  # done already
                os.replace(self._next_path(self.best_epoch), self.path)

    def _is_best(self, epoch: int, value: float) -> bool:
        if math.isnan(value) or self._sign * value <= self._sign * self.best_value:
            return False
        self.best_epoch, self.best_value = epoch, value
        return True

    def _check_validated(self, logs: Mapping[str, float]) -> None:
        """An epoch without validation is no mistake; a validation without the value is."""
        validated = [name for name in logs if name.startswith("val_")]
        if validated or not self.monitor.startswith("val_"):
            raise ValueError(
                f"Expected the logs of an epoch to hold monitor={self.monitor!r}. Received "
                f"{', '.join(sorted(logs))}. Compile the model with that metric, or monitor "
                "another value."
            )
