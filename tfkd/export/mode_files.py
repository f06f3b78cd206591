"""The table of number formats as files: for programs, for a spreadsheet and as a picture."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from tfkd.export.mode_row import ModeRow
from tfkd.report.palette import INK, LINE, MUTED, SERIES_COLORS
from tfkd.volumes import atomic_path

__all__ = ["write_mode_table"]


def write_mode_table(rows: Sequence[ModeRow], folder: Path, reason: str) -> list[Path]:
    """Write `modes.json`, `modes.csv` and `modes.png`.

    The picture has a panel each for size, time and memory, Dice upwards; a line joins the files
    that no other beats in both (the Pareto front), and a dashed one is Keras.

    Args:
        rows: the table, Keras first.
        folder: where to.
        reason: what was chosen and why.

    Returns:
        The files.
    """
    paths = [folder / f"modes.{suffix}" for suffix in ("json", "csv", "png")]
    document = {"reason": reason, "rows": [row.to_dict() for row in rows]}
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for path, content in zip(paths, (text, _csv(rows)), strict=False):
        with atomic_path(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    with atomic_path(paths[2]) as temporary:
        _draw(rows, temporary)
    return paths


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return which points (cost, Dice) no other beats: as cheap and better, or cheaper and as good.

    Args:
        points: cost, the lower the better; Dice, the higher the better.

    Returns:
        Their indices, by cost.
    """
    front: list[int] = []
    best = float("-inf")
    for index in sorted(range(len(points)), key=lambda one: (points[one][0], -points[one][1])):
        if points[index][1] > best:
            front.append(index)
            best = points[index][1]
    return front


def _csv(rows: Sequence[ModeRow]) -> str:
    text = io.StringIO()
    records = [row.to_dict() for row in rows]
    for record in records:
        labels = record.pop("label_dice")
        record |= {f"dice {name}": labels.get(name) for name in rows[0].label_dice}
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _draw(rows: Sequence[ModeRow], path: Path) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    keras_dice = 100 * rows[0].dice
    files = [row for row in rows[1:] if row.label_dice]
    costs: dict[str, list[float | None]] = {
        "file, MB": [(row.size_bytes or 0) / 1e6 for row in files],
        "ms per slice": [row.ms_per_slice for row in files],
        "RAM, MB": [None if row.ram_bytes is None else row.ram_bytes / 1e6 for row in files],
    }
    settings = {"font.size": 9, "axes.grid": True, "grid.color": LINE, "text.color": INK}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(11.6, 3.9), layout="constrained")
        panels = figure.subplots(1, len(costs), sharey=True)
        for axis, (title, values) in zip(panels, costs.items(), strict=True):
            known = [
                (value, 100 * row.dice, index)
                for index, (value, row) in enumerate(zip(values, files, strict=True))
                if value is not None
            ]
            front = [known[one] for one in pareto_front([point[:2] for point in known])]
            axis.plot([x for x, _, _ in front], [y for _, y, _ in front], color=MUTED, lw=1)
            for x, y, index in known:
                color = SERIES_COLORS[index % len(SERIES_COLORS)]
                axis.scatter([x], [y], s=40, color=color, label=files[index].mode, zorder=3)
            axis.axhline(keras_dice, color=MUTED, linestyle="--", linewidth=1)
            axis.set_xlabel(title, color=MUTED)
            axis.set_xlim(0, 1.08 * max((x for x, _, _ in known), default=1.0))
            axis.set_axisbelow(True)
            axis.spines[["top", "right"]].set_visible(False)
        # A hundredth of a point is not to look like a difference.
        panels[0].set_ylim(min(panels[0].get_ylim()[0], keras_dice - 1.0))
        panels[0].set_ylabel("mean foreground Dice, points", color=MUTED)
        handles, names = panels[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside lower center", ncols=7, frameon=False)
        figure.savefig(path, dpi=120)
