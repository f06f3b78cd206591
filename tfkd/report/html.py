"""The report: one HTML file that needs nothing beside it."""

import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from tfkd._version import __version__
from tfkd.evaluation import CaseFilesLike, Evaluation
from tfkd.metrics import describe_empty_policy
from tfkd.report import numbers
from tfkd.report.figure import data_url
from tfkd.report.history import History, read_history
from tfkd.report.overlays import make_overlays
from tfkd.report.page import page
from tfkd.report.palette import RUN_COLORS, label_color, row_colors
from tfkd.report.plots import dice_plot, loss_plot, overview_plot
from tfkd.report.side_by_side import (
    check_comparable,
    deployed_row,
    first_of_role,
    gap_closed,
    order_rows,
    ratio_to_teacher,
)
from tfkd.report.slice_choice import MAX_CLASSES
from tfkd.volumes import PROTOCOLS, atomic_path

__all__ = ["write_report"]

_TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"


def write_report(
    path: str | os.PathLike[str],
    evaluations: Sequence[Evaluation],
    *,
    title: str = "Distillation report",
    histories: Mapping[str, str | os.PathLike[str]] | None = None,
    cases: Sequence[CaseFilesLike] = (),
    provenance: Mapping[str, Any] | None = None,
    window_hu: tuple[float, float] = (-160.0, 240.0),
    identity_affine: str | None = None,
) -> Path:
    """Writes the comparison of teacher, students and edge files as one self-contained HTML file.

    Whatever is not given is left out: rows that were not evaluated, curves, overlays (no `cases`,
    or no masks kept), ratios to the teacher, the gap closed. Written atomically.

    Empty masks follow the evaluations' policy (by default a case without a class on either side is
    left out of that class's mean; a false positive on an empty truth and a miss score 0); the
    policy and the number of cases that it touched stand under the table.

    Args:
        path: the file to write; its folder is made.
        evaluations: at least one, on the same cases. Ordered by role here.
        title: heading of the page.
        histories: run name -> CSVLogger file. A run named like a row has the row's colour.
        cases: the evaluated cases with CT and truth, for the overlays; the few that are shown
            are read.
        provenance: how it was made: heading -> value or a mapping of them, such as
            `{"Configuration": {...}, "Data": {"manifest sha256": ...}}`.
        window_hu: grey window of the overlays, HU.
        identity_affine: axis codes of files with an identity affine, as in `read_volume`.

    Returns:
        The path written.

    Raises:
        RecordError: if the rows cannot be compared, or a history cannot be read.
        GeometryError: if a CT or mask that is to be shown cannot be read or does not fit.
        ValueError: if the window is empty.
    """
    low, high = window_hu
    if not low < high:
        raise ValueError(f"Expected window_hu to rise. Received: window_hu={window_hu}")
    check_comparable(evaluations)
    rows = order_rows(evaluations)
    runs = [read_history(file, name) for name, file in (histories or {}).items()]
    facts: dict[str, Any] = {
        "title": title,
        "rows": rows,
        "table": rows[0].table,
        "colors": row_colors(rows),
        "summary": _summary(rows),
        "gaps": gap_closed(rows),
        "protocol": f"{rows[0].protocol}; {PROTOCOLS[rows[0].protocol].score}",
        "empty_policy": describe_empty_policy(rows[0].table.empty),
        "dice_plot": data_url(dice_plot(rows)) if rows[0].table.foreground else "",
        **_curves(rows, runs),
        "overlays": make_overlays(rows, cases, window_hu, identity_affine),
        "max_classes": MAX_CLASSES,
        "max_columns": numbers.MAX_CLASS_COLUMNS,
        "window_hu": window_hu,
        "provenance": dict(provenance or {}) | _how_it_was_measured(rows),
        "label_color": label_color,
        "patients": _patients,
        "ratio_to_teacher": ratio_to_teacher,
    }
    text = page(_TEMPLATE, facts, filters=_FILTERS, tests=_TESTS)
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _summary(rows: Sequence[Evaluation]) -> list[tuple[str, str, str]]:
    """The figures on top of the page: (heading, figure, explanation)."""
    best, teacher = deployed_row(rows), first_of_role(rows, "teacher")
    dice = best.table.mean_foreground_dice()
    against = ""
    if teacher is not None and teacher is not best:
        against = f", teacher {numbers.dice_text(teacher.table.mean_foreground_dice())}"
    cards = [("Foreground Dice", numbers.dice_text(dice), f"{best.name}{against}")]
    for gap in gap_closed(rows)[:1]:
        figure = f"{gap.points:+.1f} points"
        closed = "the teacher is not above the plain student"
        if gap.fraction is not None:
            closed = f"{100 * gap.fraction:.0f} % of the gap to the teacher closed"
        cards.append(("Gained by distillation", figure, closed))
    for heading, cost, text in (
        ("File size", "file_bytes", numbers.bytes_text(best.model.file_bytes)),
        ("Time per slice", "ms_per_slice", f"{numbers.time_text(best.model.ms_per_slice)} ms"),
    ):
        if getattr(best.model, cost) is not None:
            ratio = ratio_to_teacher(rows, best, cost)
            words = ("smaller", "larger") if cost == "file_bytes" else ("faster", "slower")
            note = best.name
            if ratio is not None:
                note += f", {numbers.compared_text(ratio, *words)} than the teacher"
            cards.append((heading, text, note))
    return cards


def _patients(rows: Sequence[Evaluation], label: int) -> list[dict[str, Any]]:
    """For every case: its true volume, and score and remark of every row."""
    scores = [row.table.per_case(label) for row in rows]
    counts = [{each.case_id: each for each in row.table.of_label(label)} for row in rows]
    patients = []
    for case_id in rows[0].table.case_ids:
        cells = []
        for row, dice, count in zip(rows, scores, counts, strict=True):
            counted = count[case_id]
            remark = ""
            if counted.truth_voxels and not counted.tp:
                remark = "missed"
            elif not counted.truth_voxels and counted.fp:
                remark = "false alarm"
            cells.append((float(dice[row.table.case_ids.index(case_id)]), remark))
        patients.append(
            {"case_id": case_id, "truth_ml": counts[0][case_id].truth_ml, "scores": cells}
        )
    return patients


def _curves(rows: Sequence[Evaluation], runs: Sequence[History]) -> dict[str, Any]:
    colors = row_colors(rows)
    spare = iter(RUN_COLORS * (len(runs) + 1))
    for run in runs:
        colors.setdefault(run.name, next(spare))
    overview = overview_plot(runs, colors)
    # A run that logged the total alone is in the overview already.
    terms = [(run.name, loss_plot(run, colors[run.name])) for run in runs if len(run.losses) > 1]
    return {
        "overview_plot": data_url(overview) if overview else "",
        "loss_plots": [(name, data_url(plot)) for name, plot in terms],
    }


def _how_it_was_measured(rows: Sequence[Evaluation]) -> dict[str, Any]:
    measured: dict[str, list[str]] = {}
    for row in rows:
        if row.environment:
            words = ", ".join(f"{key} {value}" for key, value in row.environment.items())
            measured.setdefault(words.removeprefix("machine "), []).append(row.name)
    return {
        "Measured on": {"; ".join(names): words for words, names in measured.items()},
        "Report made with": {
            "tfkd": __version__,
            "Python": platform.python_version(),
            "NumPy": np.__version__,
            "matplotlib": matplotlib.__version__,
        },
    }


def _tint(dice: float) -> str:
    """Background of a cell: the further from 1, the warmer; nothing where no score is."""
    if math.isnan(dice):
        return "transparent"
    return f"hsl({10 + 125 * dice**2:.0f} 58% {91 + 3 * dice:.0f}%)"


def _hu_text(value: float) -> str:
    return f"{value:.0f}".replace("-", "−")


_FILTERS: dict[str, Callable[..., str]] = {
    "dice": numbers.dice_text,
    "count": numbers.count_text,
    "bytes": numbers.bytes_text,
    "time": numbers.time_text,
    "ratio": numbers.ratio_text,
    "tint": _tint,
    "compared": numbers.compared_text,
    "volume": numbers.volume_text,
    "hu": _hu_text,
    "capitalize_first": lambda text: text[:1].upper() + text[1:],
}
_TESTS: dict[str, Callable[..., bool]] = {
    "nan": math.isnan,
    "mapping": lambda value: isinstance(value, Mapping),
    "listing": lambda value: isinstance(value, list | tuple),
}
