"""Figures are taken once for a file, whatever it is called, and are Python's own numbers."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from tfkd.errors import ContractError
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


@pytest.fixture
def scored():
    return []


@pytest.fixture
def measure(student, spec, ct_slices, tmp_path, scored):
    """Row of a file, with a fresh start for each, as in as many runs."""
    to_litert(student, tmp_path / "a.tflite", spec=spec, label_names=NAMES)
    task = StudentTask(student, ct_slices, spec, NAMES, threads=1)

    def score(predictor, name):
        scored.append(name)
        return {"liver": 0.9}

    def row(context="volumes", cost=lambda path: (2.0, 5), **changes):
        measurements = ModeMeasurements(
            dataclasses.replace(task, **changes), tmp_path / "n.json", score, cost, context
        )
        measurements.keras()
        return measurements.file("a", tmp_path / "a.tflite", None, "as it is.")

    return row


def test_a_failed_timing_costs_no_score(measure, scored):
    def fail(path):
        raise ContractError("out of memory")

    row = measure(cost=fail)
    assert (row.ms_per_slice, row.ram_bytes, row.label_dice) == (None, None, {"liver": 0.9})
    assert row.note == "as it is. Not timed: out of memory"
    row = measure()
    assert (row.ms_per_slice, row.ram_bytes, row.note) == (2.0, 5, "as it is.")
    assert scored == ["Keras", "a"]


def test_dice_depends_on_the_volumes_and_time_on_the_threads(measure, scored):
    costs = []

    def cost(path):
        costs.append(path)
        return float(len(costs)), None

    assert measure("some", cost).ms_per_slice == 1.0
    assert measure("some", cost, threads=2).ms_per_slice == 2.0
    assert scored == ["Keras", "a"]
    assert measure("others", cost).ms_per_slice == 1.0
    assert scored == ["Keras", "a"] * 2
    measure("some", cost)
    measure("others", cost, threads=2)
    assert len(scored) == 4
    assert len(costs) == 2


def test_another_task_is_scored_anew(measure, scored, make_student, spec):
    measure()
    measure(label_names=("background", "bone", "liver"))
    measure(spec=dataclasses.replace(spec, window_hu=(-100.0, 100.0)))
    assert scored == ["Keras", "a"] * 3
    # The same weights, but something else between them.
    changed = make_student(middle=keras.layers.ReLU())
    measure(student=changed)
    assert scored[6:] == ["Keras"]


def test_a_student_that_cannot_be_described_is_scored_anew(measure, scored, student, monkeypatch):
    def refuse():
        raise NotImplementedError

    monkeypatch.setattr(student, "to_json", refuse)
    measure()
    measure()
    assert scored == ["Keras", "a", "Keras"]
