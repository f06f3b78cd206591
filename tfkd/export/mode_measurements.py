"""Scores and costs of a student's files, each measured once, even over several runs."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkd.export.keras_logits import keras_predictor
from tfkd.export.mode_row import ModeRow
from tfkd.inference import Predictor, VolumePredictor
from tfkd.inference.bench import available_cores
from tfkd.inference.bench_process import run_job
from tfkd.models.fingerprint import fingerprint
from tfkd.volumes import PreprocessSpec, atomic_path, sha256_of

__all__ = ["Cost", "ModeMeasurements", "Score", "StudentTask", "file_cost"]

Score = Callable[[VolumePredictor, str], Mapping[str, float]]
"""(predictor, name for the progress) → mean Dice of each label on whole volumes, in [0, 1]."""

Cost = Callable[[Path], tuple[float | None, int | None]]
"""File → (ms per slice, bytes of memory)."""

_RUNS, _WARMUP = 20, 3


@dataclass(frozen=True, eq=False)
class StudentTask:
    """A student and what every file of it shares.

    Attributes:
        student: as for `tfkd.export.to_litert`.
        slices: (n, H, W, C) float32, windowed training slices that show every class.
        spec: how a CT becomes the student's input.
        label_names: index = label value, the background first.
        threshold: as for `tfkd.export.to_litert`.
        threads: for the kernels; None takes the cores this process may use.
    """

    student: keras.Model
    slices: np.ndarray
    spec: PreprocessSpec
    label_names: tuple[str, ...]
    threshold: float | None = None
    threads: int | None = None


class ModeMeasurements:
    """Measures files, and notes each figure as soon as it is known.

    Scoring volumes takes minutes a file. Figures are kept under the SHA-256 of the file, so an
    interrupted run goes on where it was, and a file that has changed is measured anew.

    Args:
        task: the student.
        path: the note, JSON.
        score: gives the Dice; the same for all.
        cost: gives time and memory.
        context: says what the scores depend on besides the file, such as the volumes. Notes of
            another context are dropped.
    """

    def __init__(
        self, task: StudentTask, path: Path, score: Score, cost: Cost | None, context: str
    ) -> None:
        self._task = task
        self._path = path
        self._score = score
        self._cost = cost or (lambda file: file_cost(file, task.threads))
        self._context = context
        self._noted = _read(path, context)
        self._keras: ModeRow | None = None

    def keras(self) -> ModeRow:
        """The row of the student itself."""
        if self._keras is None:
            task = self._task
            predictor = keras_predictor(
                task.student, task.spec, task.label_names, threshold=task.threshold
            )
            figures = self._figures(
                f"keras {fingerprint(task.student)}",
                lambda: {"label_dice": self._dice(predictor, "Keras")},
            )
            self._keras = ModeRow("Keras", dice_drop=0.0, **figures)
        return self._keras

    def file(self, mode: str, path: Path, max_dice_drop: float | None, note: str = "") -> ModeRow:
        """The row of a file.

        Args:
            mode: its name.
            path: the `.tflite` file, its contract beside it.
            max_dice_drop: points of Dice that may be lost.
            note: for the row.
        """

        def measured() -> dict[str, Any]:
            dice = self._dice(Predictor(path, self._task.threads), mode)
            milliseconds, memory = self._cost(path)
            return {"label_dice": dice, "ms_per_slice": milliseconds, "ram_bytes": memory}

        figures = self._figures(sha256_of(path), measured)
        row = ModeRow(mode, size_bytes=path.stat().st_size, note=note, **figures)
        row = replace(row, dice_drop=100 * (self.keras().dice - row.dice))
        if max_dice_drop is None or math.isnan(row.dice_drop):
            return row
        return replace(row, within_budget=row.dice_drop <= max_dice_drop)

    def _dice(self, predictor: VolumePredictor, name: str) -> dict[str, float]:
        # As Python's own numbers, whatever NumPy's they were.
        return {label: float(dice) for label, dice in self._score(predictor, name).items()}

    def _figures(self, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if key not in self._noted:
            self._noted[key] = measure()
            with atomic_path(self._path) as temporary:
                # NaN as Python writes and reads it: nobody else reads this file.
                document = {"context": self._context, "figures": self._noted}
                temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
        return self._noted[key]


def file_cost(path: Path, threads: int | None = None) -> tuple[float | None, int | None]:
    """Return time and memory of a file, measured in a process of its own.

    Args:
        path: the `.tflite` file.
        threads: for the kernels; None takes the cores this process may use.

    Returns:
        Median milliseconds per slice; bytes that loading and running it adds, None where the
        system does not say.
    """
    answer = run_job(
        "slices",
        model=str(path),
        threads=threads or available_cores(),
        runs=_RUNS,
        warmup=_WARMUP,
    )
    return answer["median_ms"], answer["added_bytes"]


def _read(path: Path, context: str) -> dict[str, dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return dict(document["figures"]) if document["context"] == context else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # measured anew
