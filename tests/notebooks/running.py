"""A notebook from top to bottom, as a reader would run it, but for what makes it long."""

import os
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

__all__ = ["NOTEBOOKS", "run_notebook"]

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def run_notebook(name: str, shorter: Mapping[str, str] | None = None) -> str:
    """Run a notebook, which must draw something, and return all that it printed.

    Args:
        name: of the file, without its suffix.
        shorter: words of its code → what stands in their place; each must be there once. Nothing
            is replaced if the variable TFKD_WHOLE_NOTEBOOKS is set.
    """
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    if not os.environ.get("TFKD_WHOLE_NOTEBOOKS"):
        for old, new in (shorter or {}).items():
            _replace(notebook.cells, old, new)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    return "\n".join(_text(output) for output in outputs)


def _replace(cells: list[nbformat.NotebookNode], old: str, new: str) -> None:
    places = [cell for cell in cells if cell.cell_type == "code" and old in cell.source]
    assert [cell.source.count(old) for cell in places] == [1], f"expected {old!r} once"
    (cell,) = places
    cell.source = cell.source.replace(old, new)


def _text(output: nbformat.NotebookNode) -> str:
    """What was printed, or shown as text."""
    data = output.get("data", {})
    return output.get("text") or data.get("text/markdown") or data.get("text/plain", "")
