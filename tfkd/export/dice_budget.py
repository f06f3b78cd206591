"""Which number format: the smallest file that is still good enough on whole volumes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from tfkd.errors import ExportError, TrainingError
from tfkd.export.litert import ExportResult, to_litert, write_checked
from tfkd.export.mixed_int8 import FeatureError, MixedInt8
from tfkd.export.mode_measurements import Cost, ModeMeasurements, Score, StudentTask
from tfkd.export.mode_row import ModeRow
from tfkd.export.quantization.file_form import file_form
from tfkd.inference import QUANTIZATIONS

__all__ = ["ModeChoice", "choose_mode"]

# So many of the features that stay in floating point are named in a note.
_NAMED = 3

_FINE_TUNED = "int8_fine_tuned"

# Formats whose kernels on a CPU are tens of times slower than those of the others.
_FOR_ACCELERATORS = {"int16x8"}


@dataclass(frozen=True)
class ModeChoice:
    """What was measured, and what was chosen.

    Attributes:
        rows: Keras, then the files in the order in which they were measured.
        chosen: the smallest file within the budget, int16x8 only if it is the only one; None
            without a budget, or if no file is.
        reason: one sentence on the choice.
        folder: of the files, `<mode>.tflite` with their contracts.
    """

    rows: tuple[ModeRow, ...]
    chosen: ModeRow | None
    reason: str
    folder: Path

    def path(self, row: ModeRow) -> Path:
        """The file of a row."""
        return self.folder / f"{row.mode}.tflite"


def choose_mode(
    task: StudentTask,
    folder: str | Path,
    score: Score,
    *,
    context: str,
    max_dice_drop: float | None = None,
    modes: Sequence[str] = QUANTIZATIONS,
    all_modes: bool = False,
    fine_tune: Callable[[], keras.Model] | None = None,
    fine_tune_note: str = "Trained on with quantisation in its way.",
    cost: Cost | None = None,
) -> ModeChoice:
    r"""Measure a student's files on whole volumes, and choose the smallest within a budget.

    A file's drop is $100 \cdot (D_{Keras} - D_{file})$ with $D$ the mean foreground Dice. With a
    budget, files are tried from the smallest, and the first within it wins. If int8 was tried and
    lost too much, its worst features stay in floating point (`MixedInt8`): 1, 2, 4, … and at most
    half of them, as long as the file is smaller than the best so far, and then as few as will do.
    If that does not help either, the student is trained on for int8, if that can be done. int16x8
    comes last whatever its size: a CPU takes tens of times longer for it, so it wins only where no
    other format is within the budget.

    Args:
        task: the student, and what every file of it shares.
        folder: where the files go, and a note from which an interrupted run goes on.
        score: gives the Dice of a predictor; the same for Keras and for the files.
        context: says what the scores depend on besides the task and the file: the volumes, their
            truth and how Dice is taken. Scores that were noted under another one are not used.
        max_dice_drop: budget, points (0 to 100) of mean foreground Dice; None measures all.
        modes: number formats to try, of `tfkd.inference.QUANTIZATIONS`.
        all_modes: whether to measure all of them although a smaller one is within the budget.
        fine_tune: trains the student for int8 (quantisation-aware) and returns it; called only
            if nothing else brings int8 into the budget. Why it failed, as an `ExportError`, a
            `TrainingError` or a `ValueError`, becomes the row's note.
        fine_tune_note: what it does, for the table.
        cost: gives time and memory of a file; None measures them in a process of its own.

    Returns:
        The table and the choice. A format that cannot be made is in the table, with the reason.

    Raises:
        ValueError: no or an unknown format, a negative budget, or volumes that no label is in.
    """
    _check(modes, max_dice_drop)
    folder = Path(folder)
    search = _Search(
        task,
        folder,
        ModeMeasurements(task, folder / "measured.json", score, cost, context),
        max_dice_drop,
    )
    if math.isnan(search.rows[0].dice):
        raise ValueError(
            f"score: expected volumes with some of the labels {task.label_names[1:]}, received "
            "volumes in which neither truth nor Keras has any. Choose other volumes."
        )
    search.try_modes(modes, all_modes or max_dice_drop is None)
    int8 = next((row for row in search.rows if row.mode == "int8"), None)
    over = int8 is not None and int8.within_budget is False
    if int8 is not None and over and not search.mend(int8) and fine_tune is not None:
        search.try_fine_tuned(fine_tune, fine_tune_note)
    return ModeChoice(tuple(search.rows), search.best, search.reason(int8), folder)


class _Search:
    """The rows so far, and the best file within the budget among them."""

    def __init__(
        self,
        task: StudentTask,
        folder: Path,
        measurements: ModeMeasurements,
        max_dice_drop: float | None,
    ) -> None:
        self.task = task
        self.folder = folder
        self.measurements = measurements
        self.max_dice_drop = max_dice_drop
        self.rows = [measurements.keras()]
        self.best: ModeRow | None = None

    def try_modes(self, modes: Sequence[str], all_modes: bool) -> None:
        """Converts all, which is quick, and measures from the smallest, which is not."""
        made: dict[str, ExportResult] = {}
        failed = []
        for mode in dict.fromkeys(modes):
            try:
                made[mode] = self._export(self.task.student, mode, mode)
            except ExportError as error:
                failed.append(ModeRow(mode, note=str(error)))
        for mode in sorted(made, key=lambda one: (one in _FOR_ACCELERATORS, made[one].size_bytes)):
            if self.best is None or all_modes:
                self._measure(mode, made[mode].slow_note)
        self.rows += failed

    def mend(self, int8: ModeRow) -> bool:
        """Leaves the worst features of int8 in floating point; whether a file became good enough.

        The search assumes that more features do not make it worse.
        """
        try:
            mixed = MixedInt8(file_form(self.task.student, "int8"), self.task.slices)
        except ExportError as error:
            self._note(int8, f"Its worst features were not found: {error}")
            return False
        ranking = mixed.worst_first
        worst = ", ".join(_described(feature) for feature in ranking[:_NAMED])
        self._note(int8, f"Worst features: {worst}.")

        def verdict(count: int) -> bool | None:
            row = self._try_mixed(mixed, ranking[:count])
            return None if row is None else bool(row.within_budget)

        return fewest(max(1, len(ranking) // 2), verdict) is not None

    def try_fine_tuned(self, fine_tune: Callable[[], keras.Model], note: str) -> None:
        """Measures the student after it was trained for int8."""
        mode = _FINE_TUNED
        try:
            result = self._export(fine_tune(), "int8", mode)
        except (ExportError, TrainingError, ValueError) as error:  # Keras's is the last one
            self.rows.append(ModeRow(mode, note=str(error)))
            return
        self._measure(mode, " ".join(filter(None, (note, result.slow_note))))

    def reason(self, int8: ModeRow | None) -> str:
        """One sentence on the choice."""
        if self.max_dice_drop is None:
            return "No budget was set: everything was measured and nothing chosen."
        budget = f"{self.max_dice_drop:g} points"
        measured = [row for row in self.rows[1:] if row.label_dice]
        if self.best is None:
            least = min(measured, key=lambda row: row.dice_drop, default=None)
            closest = "" if least is None else f"; {least.mode} loses least, {least.dice_drop:.2f}"
            return f"No file loses at most {budget} of Dice{closest}."
        smaller = [
            row
            for row in measured
            if row.mode in _FOR_ACCELERATORS
            and row.within_budget
            and (row.size_bytes or math.inf) < (self.best.size_bytes or math.inf)
        ]
        kind = "smallest file for a CPU" if smaller else "smallest file"
        text = (
            f"{self.best.mode} is the {kind} that loses at most {budget} of Dice: "
            f"{self.best.dice_drop:.2f}"
        )
        if int8 is not None and int8.within_budget is False:
            text += f"; plain int8 would lose {int8.dice_drop:.2f}"
            tuned = next((row for row in measured if row.mode == _FINE_TUNED), self.best)
            if tuned is not self.best:
                text += f", and {tuned.dice_drop:.2f} after training for it"
        if self.best.mode in _FOR_ACCELERATORS:
            text += "; it is for accelerators: a CPU takes tens of times longer for it"
        for row in smaller:
            text += f"; {row.mode}, {(row.size_bytes or 0) / 1e6:.2f} MB, is for accelerators"
        timed = [row for row in measured if row.within_budget and row.ms_per_slice is not None]
        fastest = min(timed, key=lambda row: row.ms_per_slice or 0.0, default=self.best)
        if fastest.mode != self.best.mode:
            text += f"; {fastest.mode} is faster, {fastest.ms_per_slice:.2f} ms per slice"
        return f"{text}."

    def _export(self, student: keras.Model, quantization: str, mode: str) -> ExportResult:
        return to_litert(
            student,
            self.folder / f"{mode}.tflite",
            quantization=quantization,  # type: ignore[arg-type]
            calibration=self.task.slices,
            calibration_slices=len(self.task.slices),
            spec=self.task.spec,
            label_names=self.task.label_names,
            threshold=self.task.threshold,
            min_agreement=0.0,  # the volumes say whether it is good enough
        )

    def _try_mixed(self, mixed: MixedInt8, features: Sequence[FeatureError]) -> ModeRow | None:
        """The row, or None if the file would not be the smallest or cannot be made."""
        mode = f"int8_mixed_{len(features)}"
        try:
            content = mixed.content(features)
            if len(content) >= self._size_to_beat():
                return None
            write_checked(
                self.task.student,
                self.folder / f"{mode}.tflite",
                content,
                "int8_mixed",
                self.task.slices,
                source="calibration",
                spec=self.task.spec,
                label_names=self.task.label_names,
                min_agreement=0.0,
                threshold=self.task.threshold,
            )
        except ExportError as error:
            self.rows.append(ModeRow(mode, note=str(error)))
            return None
        kept = ", ".join(_layer_of(feature) for feature in features[:_NAMED])
        more = f" and {len(features) - _NAMED} more" if len(features) > _NAMED else ""
        return self._measure(mode, f"In floating point: {kept}{more}.")

    def _measure(self, mode: str, note: str = "") -> ModeRow:
        path = self.folder / f"{mode}.tflite"
        row = self.measurements.file(mode, path, self.max_dice_drop, note)
        self.rows.append(row)
        may_win = self.best is None or row.mode not in _FOR_ACCELERATORS
        if row.within_budget and may_win and (row.size_bytes or math.inf) < self._size_to_beat():
            self.best = row
        return row

    def _size_to_beat(self) -> float:
        """Bytes of the best file; a file for accelerators gives way to any other."""
        if self.best is None or self.best.mode in _FOR_ACCELERATORS:
            return math.inf
        return self.best.size_bytes or math.inf

    def _note(self, row: ModeRow, note: str) -> None:
        both = " ".join(filter(None, (row.note, note)))
        self.rows[self.rows.index(row)] = replace(row, note=both)


def fewest(limit: int, verdict: Callable[[int], bool | None]) -> int | None:
    """Return the smallest count that is good, if a larger one is never worse and never smaller.

    Args:
        limit: the largest count to try; 1, 2, 4, … and the limit itself come first.
        verdict: count → whether it is good; None if it is out of the question, as more would be.

    Returns:
        The count, or None if none is good.
    """
    good = None
    too_few, count = 0, 1
    end = limit + 1  # from here on there is nothing to be tried
    while count > too_few:
        answer = verdict(count)
        if answer is False:
            too_few = count
        else:
            end = count
            good = count if answer else good
        # Doubles until something is good or out of the question, then halves what is between.
        count = min(2 * count, limit) if end > limit else (too_few + end) // 2
    return good


def _described(feature: FeatureError) -> str:
    return f"{_layer_of(feature)} ({feature.operator}, {feature.error:.0%} noise)"


def _layer_of(feature: FeatureError) -> str:
    """Names of features are lists of all that was fused, such as "student/relu_1/Relu;…"."""
    parts = feature.name.split(";")[0].split("/")
    return parts[1] if len(parts) > 1 else "logits"


def _check(modes: Sequence[str], max_dice_drop: float | None) -> None:
    unknown = sorted(set(modes) - set(QUANTIZATIONS))
    if unknown or not modes:
        raise ValueError(
            f"modes: expected some of {', '.join(QUANTIZATIONS)}, received "
            f"{', '.join(unknown) or 'none'}."
        )
    if max_dice_drop is not None and not 0 <= max_dice_drop <= 100:
        raise ValueError(
            f"max_dice_drop: expected points of Dice from 0 to 100, received {max_dice_drop}."
        )
