"""`notebooks/02_distill_with_fit.ipynb` runs."""

import pytest

from tests.notebooks.running import run_notebook

# A student of three steps is sure of nothing, and int8 rounds many pixels to another label.
SHORTER = {
    "patients=24": "patients=6",
    "shape_zyx=(24, 96, 96)": "shape_zyx=(12, 96, 96)",
    "steps_per_epoch=50": "steps_per_epoch=3",
    "epochs=7": "epochs=2",
    "data.calibration(100)": "data.calibration(20)",
    "min_agreement=0.95": "min_agreement=0.3",
}


@pytest.mark.filterwarnings("default")  # the client's own event loop and sockets
def test_it_runs():
    said = run_notebook("02_distill_with_fit", SHORTER)
    assert "prediction_map" in said  # in what `fit` prints
    assert "same label as Keras on" in said
