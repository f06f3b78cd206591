"""Tables as text: for a terminal, and as Markdown that is aligned as plain text too."""

from collections.abc import Sequence

__all__ = ["columns", "markdown_table"]


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Sets rows side by side: the first column to the left, the others to the right.

    Args:
        rows: At least one, all of one length; the first is the heading.
    """
    return "\n".join("  ".join(cells).rstrip() for cells in _padded(rows, left=1))


def markdown_table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Writes rows as a Markdown table.

    Args:
        rows: At least one, all of one length; the first is the heading.
        left: How many columns, from the first on, are set to the left; the others to the right.
    """
    padded = _padded(rows, left)
    rule = [
        "-" * len(cell) if column < left else "-" * (len(cell) - 1) + ":"
        for column, cell in enumerate(padded[0])
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (padded[0], rule, *padded[1:]))


def _padded(rows: Sequence[Sequence[str]], left: int) -> list[list[str]]:
    """The cells, as wide as the widest of their column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
