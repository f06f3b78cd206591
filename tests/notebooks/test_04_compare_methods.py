"""`notebooks/04_compare_methods.ipynb` runs."""

import pytest

from tests.notebooks.running import run_notebook

SHORTER = {
    "patients=12, seed=7, shape_zyx=(16, 96, 96)": "patients=6, seed=7, shape_zyx=(12, 96, 96)",
    "seeds=[0, 1]": "seeds=[0]",
    '"epochs": 2, "steps_per_epoch": 20': '"epochs": 1, "steps_per_epoch": 3',
}


@pytest.mark.filterwarnings("default")  # the client's own event loop and sockets
def test_it_runs():
    said = run_notebook("04_compare_methods", SHORTER)
    assert "small" in said
    assert "overlap_kd" in said
