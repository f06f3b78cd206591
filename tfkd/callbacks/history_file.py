"""The epochs' logs as a CSV file that holds every epoch once, however often a run was stopped."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfkd.callbacks.resumable import ResumableCallback
from tfkd.volumes import atomic_path

__all__ = ["HistoryFile"]


class HistoryFile(ResumableCallback):
    """Writes what `keras.callbacks.CSVLogger` writes, as a whole after each epoch.

    `CSVLogger` appends: a run that is killed after its line and before its checkpoint would have
    the epoch twice. A value that an epoch did not log is "NA", as there.

    Args:
        path: The CSV file; replaced at the end of each epoch.

    Example:
        >>> fit_resumable(model, data, 30, folder="run", callbacks=[HistoryFile("run/history.csv")])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = Path(path)
        self._rows: list[dict[str, float]] = []

    def on_resume(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Forgets the epochs that will be trained again."""
        self._rows = [{"epoch": epoch, **row} for epoch, row in enumerate(rows)]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Adds a line."""
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self._rows.append({"epoch": epoch, **logs})
        columns = sorted({name for row in self._rows for name in row} - {"epoch"})
        with atomic_path(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *columns], restval="NA")
            writer.writeheader()
            writer.writerows(self._rows)
