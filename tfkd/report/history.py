"""Training curves as Keras' `CSVLogger` writes them."""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfkd.errors import RecordError

__all__ = ["History", "read_history"]

_NOT_CURVES = ("epoch", "learning_rate", "lr")


@dataclass(frozen=True, eq=False)
class History:
    """Logged values of one training run, one per epoch.

    Attributes:
        name: the run, such as "distilled student".
        columns: every logged column but epoch and learning rate -> float64 (epochs,); NaN where
            nothing was logged.
    """

    name: str
    columns: Mapping[str, NDArray[np.float64]]

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the loss curves without `val_`: the total first, then every term as logged."""
        names = dict.fromkeys(name.removeprefix("val_") for name in self.columns)
        losses = [name for name in names if not _is_score(name)]
        return tuple(sorted(losses, key=lambda name: name != "loss"))

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the score curves (Dice, accuracy, IoU) without `val_`."""
        names = dict.fromkeys(name.removeprefix("val_") for name in self.columns)
        return tuple(name for name in names if _is_score(name))


def read_history(path: str | os.PathLike[str], name: str) -> History:
    """Reads a file of `keras.callbacks.CSVLogger`.

    A run that was stopped and appended to is read on; a half-written last line is left out.

    Args:
        path: the CSV file.
        name: what to call the run.

    Returns:
        The history, possibly with no epoch.

    Raises:
        RecordError: if the file is missing or has no heading with an `epoch` column.
    """
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"{path}: expected the CSVLogger file of {name!r}. Received no file.")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        heading = next(reader, [])
        # An appended run may repeat the heading.
        lines = [line for line in reader if len(line) == len(heading) and line != heading]
    if "epoch" not in heading:
        raise RecordError(
            f"{path}: expected the CSVLogger file of {name!r}, with a column `epoch`. "
            f"Received the columns {heading}."
        )
    columns = {
        column: np.array([_number(line[index]) for line in lines], np.float64)
        for index, column in enumerate(heading)
        if column not in _NOT_CURVES
    }
    return History(name, columns)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # CSVLogger writes "NA" for what an epoch did not log.
        return float("nan")


def _is_score(name: str) -> bool:
    """Whether higher is better; a loss may be called after Dice too ("focal_dice_loss")."""
    words = name.lower().split("_")
    if "loss" in words or "focal" in words or "distillation" in words:
        return False
    return bool({"dice", "accuracy", "iou", "acc"} & set(words))
