"""Writes the table as files."""

from pathlib import Path

from tfkd.comparison.table.csv_table import csv_table
from tfkd.comparison.table.markdown import markdown_table
from tfkd.comparison.table.page import html_page
from tfkd.comparison.table.table import Table
from tfkd.volumes import atomic_path

__all__ = ["write_table"]


def write_table(table: Table, folder: Path) -> list[Path]:
    """Writes `table.csv`, `table.md` and `table.html`.

    Args:
        table: The table.
        folder: Where to.

    Returns:
        The files.
    """
    texts = {
        "table.csv": csv_table(table),
        "table.md": markdown_table(table),
        "table.html": html_page(table),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
