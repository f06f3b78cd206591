"""The comparison as a plain text table, for a console or a Markdown file."""

from collections.abc import Sequence

from tfkd.evaluation import Evaluation
from tfkd.metrics import CaseTable, describe_empty_policy
from tfkd.report.numbers import (
    MAX_CLASS_COLUMNS,
    bytes_text,
    count_text,
    dice_text,
    ratio_text,
    time_text,
)
from tfkd.report.side_by_side import check_comparable, gap_closed, order_rows, ratio_to_teacher
from tfkd.report.text import markdown_table
from tfkd.volumes import PROTOCOLS

__all__ = ["format_table"]


def format_table(evaluations: Sequence[Evaluation]) -> str:
    """Sets the evaluations side by side as a Markdown table that is also aligned as plain text.

    Args:
        evaluations: at least one; ordered by role here. Costs that are missing show as a dash.

    Returns:
        The table, the gap closed by distillation if teacher, plain and distilled rows are there,
        and what happened to empty masks (by default left out of the mean; the number is given).

    Raises:
        RecordError: if the rows cannot be compared, see `check_comparable`.
    """
    check_comparable(evaluations)
    rows = order_rows(evaluations)
    labels = rows[0].table.foreground
    inline = labels if len(labels) <= MAX_CLASS_COLUMNS else ()
    blocks = [_main_table(rows, inline)]
    if not inline:
        blocks.append(_class_table(rows))
    notes = [
        f"Dice over {len(rows[0].table.case_ids)} cases: per-case mean ± sd (global); mean = "
        "foreground mean of the per-case means; size and speed = teacher / model.",
        f"Protocol: {rows[0].protocol}; {PROTOCOLS[rows[0].protocol].score}.",
        *_gap_lines(rows),
        describe_empty_policy(rows[0].table.empty),
        *_empty_lines(rows),
    ]
    return "\n\n".join([*blocks, "\n".join(notes)])


def _main_table(rows: Sequence[Evaluation], labels: Sequence[int]) -> str:
    """Rows are models; columns the given classes, the mean and the costs."""
    names = [rows[0].table.label_names[label] for label in labels]
    heading = ["model", *names, "mean", "parameters", "file", "ms/slice", "size", "speed"]
    lines = [
        [
            row.name,
            *(_dice(row.table, label) for label in labels),
            dice_text(row.table.mean_foreground_dice()),
            count_text(row.model.parameters),
            bytes_text(row.model.file_bytes),
            time_text(row.model.ms_per_slice),
            ratio_text(ratio_to_teacher(rows, row, "file_bytes")),
            ratio_text(ratio_to_teacher(rows, row, "ms_per_slice")),
        ]
        for row in rows
    ]
    return markdown_table([heading, *lines])


def _class_table(rows: Sequence[Evaluation]) -> str:
    """Rows are classes, columns models."""
    table = rows[0].table
    lines = [
        [table.label_names[label], *(_dice(row.table, label) for row in rows)]
        for label in table.foreground
    ]
    return markdown_table([["Dice", *(row.name for row in rows)], *lines])


def _dice(table: CaseTable, label: int) -> str:
    scores = (table.mean_dice(label), table.sd_dice(label), table.global_dice(label))
    mean, spread, pooled = map(dice_text, scores)
    return f"{mean} ± {spread} ({pooled})"


def _gap_lines(rows: Sequence[Evaluation]) -> list[str]:
    lines = []
    for gap in gap_closed(rows)[:1]:
        closed = (
            "the teacher is not above the plain student"
            if gap.fraction is None
            else f"{100 * gap.fraction:.0f} % of the gap to the teacher"
        )
        lines.append(f"Distillation, {gap.score}: {gap.points:+.1f} Dice points, {closed}.")
    return lines


def _empty_lines(rows: Sequence[Evaluation]) -> list[str]:
    lines = []
    for label in rows[0].table.foreground:
        touched = [row.table.empty_cases(label) for row in rows]
        if any(touched):
            counts = ", ".join(f"{row.name} {n}" for row, n in zip(rows, touched, strict=True))
            lines.append(
                f"Cases without {rows[0].table.label_names[label]} on both sides: {counts}."
            )
    return lines or ["No case had a class missing on both sides."]
