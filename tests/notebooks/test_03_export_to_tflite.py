"""`notebooks/03_export_to_tflite.ipynb` runs, and its figures are those of a trained student."""

import re

import pytest

from tests.notebooks.running import run_notebook

# Each number format is converted, scored and timed alike; float32 and int8 stand for the others.
SHORTER = {
    "runs=10": "runs=2",
    "max_dice_drop=0.5,": 'max_dice_drop=0.5, modes=("float32", "int8"),',
}


@pytest.mark.filterwarnings("default")  # the client's own event loop and sockets
def test_it_runs():
    said = run_notebook("03_export_to_tflite", SHORTER)
    assert "can be exported" in said
    assert float(re.search(r"same label as Keras on ([\d.]+)%", said)[1]) > 99
    for name in ("Keras", "int8 file"):
        assert float(re.search(rf"{name} {{'liver': ([\d.]+)", said)[1]) > 0.9
    assert re.search(r"(float32|int8) is the smallest file", said)
    assert "student.zip: ok: " in said
