"""Figures are taken once for a file, whatever it is called, and are Python's own numbers."""

import json

import numpy as np

from tfkd.export import StudentTask, to_litert
from tfkd.export.mode_measurements import ModeMeasurements

NAMES = ("background", "liver", "bone")


def test_rows(student, spec, ct_slices, tmp_path):
    dice = {"Keras": 0.9, "a": 0.85, "b": 0.1}
    scored = []

    def score(predictor, name):
        scored.append(name)
        return {"liver": np.float32(dice[name]), "bone": np.float64("nan")}

    task = StudentTask(student, ct_slices, spec, NAMES)
    note = tmp_path / "measured.json"
    to_litert(student, tmp_path / "a.tflite", spec=spec, label_names=NAMES)
    to_litert(student, tmp_path / "b.tflite", spec=spec, label_names=NAMES)
    for _ in range(2):  # the second time from the note
        measurements = ModeMeasurements(task, note, score, lambda path: (2.0, None), "volumes")
        row = measurements.file("a", tmp_path / "a.tflite", 6.0, "as it is")
        assert abs(row.dice_drop - 5.0) < 1e-5
        assert row.within_budget is True
        assert measurements.file("a", tmp_path / "a.tflite", 4.0).within_budget is False
        assert measurements.file("a", tmp_path / "a.tflite", None).within_budget is None
        assert (row.ms_per_slice, row.ram_bytes, row.note) == (2.0, None, "as it is")
        assert row.size_bytes == (tmp_path / "a.tflite").stat().st_size
        json.dumps(row.to_dict(), allow_nan=False)
        # The same bytes are the same file.
        assert measurements.file("b", tmp_path / "b.tflite", None).label_dice == row.label_dice
    assert sorted(scored) == ["Keras", "a"]
