"""Scores and costs of a student's files, each measured once, even over several runs."""

import hashlib
import json
import math
import platform
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkd.bench.process import run_job
from tfkd.errors import ContractError
from tfkd.export.keras_logits import keras_predictor
from tfkd.export.mode_row import ModeRow
from tfkd.inference import Predictor, VolumePredictor
from tfkd.inference.machine import available_cores, cpu_model
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

    Scoring volumes takes minutes a file. Dice is kept under the SHA-256 of the file and what else
    it depends on, time and memory under that of the file, the threads and the processor. So an
    interrupted run goes on where it was, a file that has changed is measured anew, and whoever
    comes back to earlier volumes finds their scores.

    Args:
        task: the student.
        path: the note, JSON.
        score: gives the Dice; the same for all.
        cost: gives time and memory.
        context: says what the scores depend on besides task and file, such as the volumes.
    """

    def __init__(
        self, task: StudentTask, path: Path, score: Score, cost: Cost | None, context: str
    ) -> None:
        self._task = task
        self._path = path
        self._score = score
        self._cost = cost or (lambda file: file_cost(file, task.threads))
        said = [context, task.spec.to_dict(), list(task.label_names), task.threshold]
        self._context = hashlib.sha256(json.dumps(said).encode()).hexdigest()
        self._machine = (
            f"{task.threads or available_cores()} threads, {cpu_model() or platform.machine()}"
        )
        self._noted = _read(path)
        self._keras: ModeRow | None = None

    def keras(self) -> ModeRow:
        """The row of the student itself."""
        if self._keras is None:
            task = self._task
            predictor = keras_predictor(
                task.student, task.spec, task.label_names, threshold=task.threshold
            )
            key = f"keras {fingerprint(task.student)} {_architecture(task.student)}"
            dice = self._dice(key, "Keras", lambda: predictor)
            self._keras = ModeRow("Keras", dice_drop=0.0, label_dice=dice)
        return self._keras

    def file(self, mode: str, path: Path, max_dice_drop: float | None, note: str = "") -> ModeRow:
        """The row of a file.

        Args:
            mode: its name.
            path: the `.tflite` file, its contract beside it.
            max_dice_drop: points of Dice that may be lost.
            note: for the row; if time and memory cannot be measured, the reason is added to it.
        """
        key = sha256_of(path)
        dice = self._dice(key, mode, lambda: Predictor(path, self._task.threads))
        try:
            milliseconds, memory = self._timed(key, path)
        except ContractError as error:
            milliseconds, memory = None, None
            note = f"{note} Not timed: {error}".strip()
        row = ModeRow(mode, path.stat().st_size, milliseconds, memory, dice, note=note)
        row = replace(row, dice_drop=100 * (self.keras().dice - row.dice))
        if max_dice_drop is None or math.isnan(row.dice_drop):
            return row
        return replace(row, within_budget=row.dice_drop <= max_dice_drop)

    def _dice(
        self, key: str, name: str, predictor: Callable[[], VolumePredictor]
    ) -> dict[str, float]:
        def measured() -> dict[str, float]:
            # As Python's own numbers, whatever NumPy's they were.
            found = self._score(predictor(), name)
            return {label: float(dice) for label, dice in found.items()}

        return dict(self._once("dice", self._context, key, measured))

    def _timed(self, key: str, path: Path) -> tuple[float | None, int | None]:
        milliseconds, memory = self._once(
            "cost", self._machine, key, lambda: list(self._cost(path))
        )
        return milliseconds, memory

    def _once(self, kind: str, where: str, key: str, measure: Callable[[], Any]) -> Any:
        noted = self._noted[kind].setdefault(where, {})
        if key not in noted:
            noted[key] = measure()
            with atomic_path(self._path) as temporary:
                # NaN as Python writes and reads it: nobody else reads this file.
                temporary.write_text(json.dumps(self._noted, indent=1), encoding="utf-8")
        return noted[key]


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


def _architecture(student: keras.Model) -> str:
    """SHA-256 of what lies between the weights, which their fingerprint leaves out."""
    try:
        return hashlib.sha256(student.to_json().encode()).hexdigest()
    except (NotImplementedError, TypeError, ValueError):
        # A layer cannot say what it does: like no other, so that it is measured anew.
        return uuid.uuid4().hex


def _read(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Kind of figure → what it depends on besides the file → key of the file → figure."""
    empty: dict[str, dict[str, dict[str, Any]]] = {"dice": {}, "cost": {}}
    try:
        document = json.loads(path.read_bytes())  # and not `parse_json`, which takes no NaN
        return {
            kind: {where: dict(figures) for where, figures in document[kind].items()}
            for kind in empty
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return empty  # measured anew
