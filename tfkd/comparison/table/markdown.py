"""The table as Markdown, which is aligned as plain text too."""

from collections.abc import Sequence

from tfkd.comparison.table.cells import cells_of, headings, notes
from tfkd.comparison.table.table import Table

__all__ = ["markdown_table"]


def markdown_table(table: Table) -> str:
    """Writes the table as Markdown, with notes below that say what the numbers are.

    Args:
        table: The table.
    """
    cells = [headings(table), *(cells_of(line) for line in table.lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [_row(cells[0], widths), _rule(widths), *(_row(row, widths) for row in cells[1:])]
    return "\n".join([*lines, "", *(f"* {note}" for note in notes(table)), ""])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if column < 3 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def _rule(widths: Sequence[int]) -> str:
    rules = [
        "-" * width if column < 3 else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "| " + " | ".join(rules) + " |"
