"""Colours that the plots, the overlays and the pages share."""

from collections.abc import Sequence

from tfkd.evaluation import Evaluation

__all__ = [
    "INK",
    "LINE",
    "MUTED",
    "ROLE_COLORS",
    "RUN_COLORS",
    "SERIES_COLORS",
    "label_color",
    "row_colors",
]

INK = "#1d2733"
MUTED = "#66727f"
LINE = "#dfe4ea"

# Told apart by colour-blind readers, and bright enough on a grey CT; after Okabe and Ito, 2008.
_LABEL_COLORS = (
    "#35b5ff",
    "#ff8a1f",
    "#2fd39a",
    "#f264b5",
    "#f5d90a",
    "#a78bfa",
    "#ff5c5c",
    "#7ddc3c",
    "#00c2c7",
    "#d9a066",
)

ROLE_COLORS = {
    "teacher": "#24476b",
    "plain": "#9aa5b1",
    "distilled": "#0f9d8a",
    "float32": "#7a5ccf",
    "float16": "#a05fb4",
    "int8": "#d9622b",
}
"""Of the rows of a report, by role."""

# Told apart by colour-blind readers, after Okabe and Ito, 2008; darker, for a white page.
SERIES_COLORS = ("#0f9d8a", "#d9622b", "#7a5ccf", "#b8860b", "#0072b2", "#b03a6f", "#3d7f3d")
"""Of methods, number formats and the like, in their order."""

RUN_COLORS = tuple(
    ROLE_COLORS[role] for role in ("teacher", "plain", "distilled", "float32", "int8")
)
"""Of trainings that are no row of the report."""

_OTHER_COLORS = ("#b8860b", "#3d7f3d", "#b03a6f", "#4c6a92", "#6b6b3a")


def label_color(label: int) -> str:
    """Colour of a foreground class, `#rrggbb`; repeats after ten classes."""
    return _LABEL_COLORS[(label - 1) % len(_LABEL_COLORS)]


def row_colors(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """Colour of every row by name: the first of each role has the role's own."""
    colors: dict[str, str] = {}
    spare = 0
    for row in evaluations:
        color = ROLE_COLORS.get(row.role)
        if color is None or color in colors.values():
            color = _OTHER_COLORS[spare % len(_OTHER_COLORS)]
            spare += 1
        colors[row.name] = color
    return colors
