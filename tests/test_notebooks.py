"""Every notebook is run by a test file of its own, so that they run side by side."""

from pathlib import Path

from tests.notebooks.running import NOTEBOOKS


def test_every_notebook_is_run():
    notebooks = {path.stem for path in NOTEBOOKS.glob("*.ipynb")}
    tested = {path.stem for path in (Path(__file__).parent / "notebooks").glob("test_*.py")}
    assert len(notebooks) >= 4
    assert tested == {f"test_{name}" for name in notebooks}
