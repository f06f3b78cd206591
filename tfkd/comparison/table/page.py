"""The table as one HTML file that needs nothing beside it."""

from pathlib import Path

from tfkd.comparison.table.cells import cells_of, headings, notes, summary
from tfkd.comparison.table.plots import method_color, patients_plot, seeds_plot
from tfkd.comparison.table.table import Table
from tfkd.report.figure import data_url
from tfkd.report.page import page

__all__ = ["html_page"]

_TEMPLATE = Path(__file__).parent / "templates" / "table.html.j2"


def html_page(table: Table, title: str = "Comparison of distillation methods") -> str:
    """Writes the table, its notes and its plots as a page, in the look of the report.

    Args:
        table: The table.
        title: Heading of the page.

    Returns:
        HTML text.
    """
    plots = {"seeds_plot": seeds_plot(table), "patients_plot": patients_plot(table)}
    facts = {
        "title": title,
        "table": table,
        "summary": summary(table),
        "headings": headings(table),
        "rows": [(line, cells_of(line), method_color(table, line)) for line in table.lines],
        "notes": notes(table),
        **{name: data_url(svg) if svg else "" for name, svg in plots.items()},
    }
    return page(_TEMPLATE, facts)
