"""The report's plots, as SVG text."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfkd.evaluation import Evaluation
from tfkd.report.figure import FIGURE_SETTINGS, FIGURE_WIDTH_INCHES, svg_text
from tfkd.report.history import History
from tfkd.report.palette import INK, row_colors

__all__ = ["dice_plot", "loss_plot", "overview_plot"]


def dice_plot(evaluations: Sequence[Evaluation]) -> str:
    """Dice of every patient, one panel for each foreground class, one line for each row.

    Dots are patients, joined from row to row; the bar is the mean and one standard deviation. A
    case left out by the policy for empty masks has no dot.

    Args:
        evaluations: comparable rows, in the order wanted.

    Returns:
        SVG text.
    """
    table = evaluations[0].table
    columns = min(3, max(1, len(table.foreground)))
    lines = -(-len(table.foreground) // columns)
    height = lines * (0.75 + 0.44 * len(evaluations))
    with matplotlib.rc_context(FIGURE_SETTINGS):
        figure = Figure(figsize=(FIGURE_WIDTH_INCHES, height), layout="constrained")
        axes = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
        for axis, label in zip(axes, table.foreground, strict=False):
            _dice_panel(axis, evaluations, label)
        for axis in axes[len(table.foreground) :]:
            axis.set_axis_off()
        return svg_text(figure)


def _dice_panel(axis: Axes, evaluations: Sequence[Evaluation], label: int) -> None:
    colors = row_colors(evaluations)
    scores = np.array([row.table.per_case(label) for row in evaluations])
    for patient in scores.T:
        axis.plot(patient, range(len(evaluations)), color="#c9d1da", linewidth=0.6, zorder=1)
    for position, row in enumerate(evaluations):
        color = colors[row.name]
        axis.scatter(
            scores[position],
            np.full(scores.shape[1], position),
            s=17,
            color=color,
            alpha=0.45,
            linewidths=0,
            zorder=2,
        )
        mean, spread = row.table.mean_dice(label), row.table.sd_dice(label)
        if not np.isnan(mean):
            reach = 0.0 if np.isnan(spread) else spread
            axis.plot([mean] * 2, [position - 0.27, position + 0.27], color=color, linewidth=3)
            ends = [max(0.0, mean - reach), min(1.0, mean + reach)]
            axis.plot(ends, [position] * 2, color=color, linewidth=1.6, solid_capstyle="butt")
    finite = scores[~np.isnan(scores)]
    # A class that all find is read near 1; zoom in as far as the worst patient allows.
    low = max(0.0, float(finite.min()) - 0.04) if finite.size else 0.0
    axis.set_xlim(low if low > 0.15 else -0.02, 1.01)
    axis.set_ylim(len(evaluations) - 0.5, -0.5)
    axis.set_yticks(range(len(evaluations)), [_shortened(row.name) for row in evaluations])
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    axis.grid(False, axis="y")
    axis.set_title(evaluations[0].table.label_names[label])
    axis.set_xlabel("Dice per patient")


def overview_plot(histories: Sequence[History], colors: Mapping[str, str]) -> str | None:
    """Validation Dice (or another logged score) and loss of all runs over the epochs.

    The loss is the one that all runs share: of a distilled one, that of the student, without the
    distillation terms.

    Args:
        histories: the runs.
        colors: run name -> colour.

    Returns:
        SVG text, or None if no run logged anything.
    """
    scores = list(dict.fromkeys(name for history in histories for name in history.scores))
    total = ["loss"] if any("loss" in history.losses for history in histories) else []
    if not scores + total:
        return None
    with matplotlib.rc_context(FIGURE_SETTINGS):
        figure = Figure(figsize=(FIGURE_WIDTH_INCHES, 3.3), layout="constrained")
        axes = figure.subplots(1, len(scores + total), squeeze=False).ravel()
        for axis, name in zip(axes, scores + total, strict=True):
            for history in histories:
                color = colors[history.name]
                own = name not in total or "student_loss" not in history.losses
                curve = name if own else "student_loss"
                _curve(axis, history, f"val_{curve}", color, "-", history.name)
                _curve(axis, history, curve, color, ":", f"{history.name}, training")
            axis.set_title(_title(name))
            axis.set_xlabel("epoch")
            if name in scores:
                axis.set_ylim(top=1.0)
        handles = {
            label: handle
            for axis in axes
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=min(6, len(handles))
        )
        return svg_text(figure)


def loss_plot(history: History, color: str) -> str:
    """Every loss of one run in a panel of its own, training and validation.

    Args:
        history: the run, with at least one loss.
        color: colour of its curves.

    Returns:
        SVG text.
    """
    losses = history.losses
    columns = min(4, len(losses))
    lines = -(-len(losses) // columns)
    with matplotlib.rc_context(FIGURE_SETTINGS):
        figure = Figure(figsize=(FIGURE_WIDTH_INCHES, 2.2 * lines), layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for axis, name in zip(axes, losses, strict=False):
            _curve(axis, history, name, color, ":", "training")
            _curve(axis, history, f"val_{name}", color, "-", "validation")
            axis.set_title(_title(name), fontsize=9)
            axis.set_xlabel("epoch", fontsize=8)
        if axes[0].lines:
            axes[0].legend(fontsize=8)
        for axis in axes[len(losses) :]:
            axis.set_axis_off()
        return svg_text(figure)


def _curve(
    axis: Axes, history: History, column: str, color: str, style: str, label: str | None
) -> None:
    values = history.columns.get(column)
    if values is None or np.isnan(values).all():
        return
    epochs = np.arange(1, len(values) + 1)
    shown = ~np.isnan(values)
    marker = "o" if len(values) == 1 else None
    axis.plot(epochs[shown], values[shown], style, color=color, label=label, marker=marker)
    axis.xaxis.get_major_locator().set_params(integer=True)


def _shortened(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"


def _title(column: str) -> str:
    return "total loss" if column == "loss" else column.replace("_", " ")
