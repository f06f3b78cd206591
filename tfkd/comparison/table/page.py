"""The table as one HTML file that needs nothing beside it."""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tfkd._version import __version__
from tfkd.comparison.table.cells import cells_of, headings, notes, summary
from tfkd.comparison.table.plots import method_color, patients_plot, seeds_plot
from tfkd.comparison.table.table import Table
from tfkd.report.figure import data_url

__all__ = ["html_page"]

_TEMPLATES = Path(__file__).parent / "templates"


def html_page(table: Table, title: str = "Comparison of distillation methods") -> str:
    """Writes the table, its notes and its plots as a page, in the look of the report.

    Args:
        table: The table.
        title: Heading of the page.

    Returns:
        HTML text.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plots = {"seeds_plot": seeds_plot(table), "patients_plot": patients_plot(table)}
    css = files("tfkd.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    return environment.get_template("table.html.j2").render(
        title=title,
        table=table,
        summary=summary(table),
        headings=headings(table),
        rows=[(line, cells_of(line), method_color(table, line)) for line in table.lines],
        notes=notes(table),
        **{name: data_url(svg) if svg else "" for name, svg in plots.items()},
        css=Markup(css),
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        version=__version__,
    )
