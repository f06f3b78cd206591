"""What every plot of a page shares: its look, and the way into the page."""

import base64
import io
from typing import Any

from matplotlib.figure import Figure

from tfkd.report.palette import INK, LINE, MUTED

__all__ = ["FIGURE_SETTINGS", "FIGURE_WIDTH_INCHES", "data_url", "svg_text"]

FIGURE_WIDTH_INCHES = 11.6

FIGURE_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tfkd",  # The same input gives the same file.
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
"""Settings for `matplotlib.rc_context`."""

_PAGE_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial"


def svg_text(figure: Figure) -> str:
    """A figure as SVG: its text stays text, in the page's letters instead of matplotlib's."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue().replace("'DejaVu Sans'", _PAGE_FONT)


def data_url(svg: str) -> str:
    """SVG text as an address that holds the picture, so that the page needs no file beside it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
