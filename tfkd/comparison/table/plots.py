"""The page's plots, as SVG text."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfkd.comparison.table.table import Line, Table
from tfkd.report.figure import FIGURE_SETTINGS, FIGURE_WIDTH_INCHES, svg_text
from tfkd.report.palette import INK, MUTED, ROLE_COLORS, SERIES_COLORS

__all__ = ["METHOD_COLORS", "method_color", "patients_plot", "seeds_plot"]

METHOD_COLORS = {kind: ROLE_COLORS[kind] for kind in ("teacher", "plain")}
"""As in the report."""

_MOST_COLUMNS = 3


def method_color(table: Table, line: Line) -> str:
    """Colour of a line's method, the same for every student."""
    methods = dict.fromkeys(one.method for one in table.lines if one.kind == "distilled")
    others = dict(zip(methods, SERIES_COLORS * (1 + len(methods)), strict=False))
    return METHOD_COLORS.get(line.kind) or others[line.method]


def seeds_plot(table: Table) -> str | None:
    """Dice of every seed, one panel for each student, one line for each method.

    Dots are seeds, the bar is their mean and one standard deviation; dashed lines are the teachers,
    the dotted one is the plain student's mean.

    Args:
        table: The table.

    Returns:
        SVG text, or None without a finished run of a student.
    """
    panels = _panels([line for line in table.lines if line.kind != "teacher" and line.per_seed])
    teachers = [line for line in table.lines if line.kind == "teacher" and line.per_seed]
    if not panels:
        return None
    with matplotlib.rc_context(FIGURE_SETTINGS):
        figure, axes = _figure(panels)
        for axis, lines in zip(axes, panels, strict=False):
            for position, line in enumerate(lines):
                _spread(axis, position, list(line.per_seed.values()), method_color(table, line))
                if line.kind == "plain":
                    axis.axvline(line.mean, color=MUTED, linestyle=":", linewidth=1)
            for teacher in teachers:
                color = method_color(table, teacher)
                axis.axvline(teacher.mean, color=color, linestyle="--", linewidth=1)
            _name_rows(axis, lines, "mean foreground Dice")
        return svg_text(figure)


def patients_plot(table: Table) -> str | None:
    """Points that each patient gains over the plain student, one panel for each student.

    Dots are patients, each the mean over the seeds that method and plain student have; the bar is
    their mean and one standard deviation.

    Args:
        table: The table.

    Returns:
        SVG text, or None if no student has both a plain and another run.
    """
    panels = _panels([line for line in table.lines if line.gains])
    if not panels:
        return None
    with matplotlib.rc_context(FIGURE_SETTINGS):
        figure, axes = _figure(panels)
        for axis, lines in zip(axes, panels, strict=False):
            axis.axvline(0, color=MUTED, linewidth=1)
            for position, line in enumerate(lines):
                _spread(axis, position, list(line.gains.values()), method_color(table, line))
            _name_rows(axis, lines, "Dice points over plain, per patient")
        return svg_text(figure)


def _panels(lines: Sequence[Line]) -> list[list[Line]]:
    networks = dict.fromkeys(line.network for line in lines)
    return [[line for line in lines if line.network == network] for network in networks]


def _figure(panels: Sequence[Sequence[Line]]) -> tuple[Figure, list[Axes]]:
    columns = min(_MOST_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    height = rows * (0.9 + 0.34 * max(map(len, panels)))
    figure = Figure(figsize=(FIGURE_WIDTH_INCHES, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return figure, list(axes)


def _spread(axis: Axes, position: int, values: Sequence[float], color: str) -> None:
    """Dots, and the bar of their mean and standard deviation."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return
    axis.scatter(known, [position] * len(known), s=17, color=color, alpha=0.5, linewidths=0)
    mean = float(np.mean(known))
    axis.plot([mean] * 2, [position - 0.27, position + 0.27], color=color, linewidth=3)
    if len(known) > 1:
        sd = float(np.std(known, ddof=1))
        axis.plot([mean - sd, mean + sd], [position] * 2, color=color, linewidth=1.4)


def _name_rows(axis: Axes, lines: Sequence[Line], what: str) -> None:
    several = len({line.teachers for line in lines if line.teachers}) > 1
    names = [
        f"{line.method} ← {line.teachers}" if several and line.teachers else line.method
        for line in lines
    ]
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.set_yticks(range(len(lines)), names)
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    axis.grid(False, axis="y")
    axis.set_title(lines[0].network)
    axis.set_xlabel(what)
