"""The table as Markdown, which is aligned as plain text too."""

from tfkd.comparison.table.cells import cells_of, headings, notes
from tfkd.comparison.table.table import Table
from tfkd.report import text

__all__ = ["markdown_table"]


def markdown_table(table: Table) -> str:
    """Writes the table as Markdown, with notes below that say what the numbers are.

    Args:
        table: The table.
    """
    rows = [headings(table), *map(cells_of, table.lines)]
    return "\n".join(
        [text.markdown_table(rows, left=3), "", *(f"* {note}" for note in notes(table)), ""]
    )
