"""Rows of text in columns, for a terminal."""

from collections.abc import Sequence

__all__ = ["columns", "megabytes"]


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Sets rows side by side: the first column to the left, the others to the right.

    Args:
        rows: At least one, all of one length; the first is the heading.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def megabytes(size_bytes: int | None) -> str:
    """A size in MB of 10⁶ bytes; a dash for None."""
    return "–" if size_bytes is None else f"{size_bytes / 1e6:.2f}"
