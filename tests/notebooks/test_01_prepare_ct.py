"""`notebooks/01_prepare_ct.ipynb` runs."""

import pytest

from tests.notebooks.running import run_notebook


@pytest.mark.filterwarnings("default")  # the client's own event loop and sockets
def test_it_runs():
    said = run_notebook("01_prepare_ct")
    assert "of 160 slices drawn" in said
