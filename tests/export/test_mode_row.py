"""A row's mean and what JSON gets of it."""

import json
import math

import pytest

from tfkd.export.mode_row import ModeRow


def test_mean_over_the_labels_that_are_there():
    row = ModeRow("int8", label_dice={"liver": 0.9, "tumour": 0.5, "cyst": math.nan})
    assert row.dice == pytest.approx(0.7)
    assert math.isnan(ModeRow("int8").dice)


def test_json_has_no_nan():
    row = ModeRow("int8", 10, label_dice={"liver": 0.9, "cyst": math.nan})
    record = json.loads(json.dumps(row.to_dict(), allow_nan=False))
    assert record["label_dice"] == {"liver": 0.9, "cyst": None}
    assert record["dice"] == 0.9
    assert record["dice_drop"] is None
    assert record["size_bytes"] == 10
