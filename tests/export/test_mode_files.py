"""The table as files."""

import csv
import json

from tfkd.export.mode_files import pareto_front, write_mode_table
from tfkd.export.mode_row import ModeRow

ROWS = (
    ModeRow("Keras", label_dice={"liver": 0.9, "tumour": 0.7}, dice_drop=0.0),
    ModeRow("int8", 100, 1.5, 2_000_000, {"liver": 0.9, "tumour": 0.6}, 5.0, False, "worst: a, b"),
    ModeRow("float32", 400, 2.0, None, {"liver": 0.9, "tumour": 0.7}, 0.0, True),
    ModeRow("int16x8", note="no kernel"),
)


def test_files(tmp_path):
    paths = write_mode_table(ROWS, tmp_path / "new", "because")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "modes.csv",
        "modes.json",
        "modes.png",
    ]
    document = json.loads(paths[0].read_text("utf-8"))
    assert document["reason"] == "because"
    assert [row["mode"] for row in document["rows"]] == [row.mode for row in ROWS]
    with open(paths[1], newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[1]["dice tumour"] == "0.6"
    assert lines[1]["note"] == "worst: a, b"
    assert lines[3]["size_bytes"] == lines[3]["dice tumour"] == ""
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_a_table_of_keras_alone_can_be_drawn(tmp_path):
    assert write_mode_table(ROWS[:1], tmp_path, "")[2].stat().st_size > 1000


def test_front_by_hand():
    points = [(3.0, 0.9), (1.0, 0.5), (2.0, 0.4), (2.0, 0.8), (4.0, 0.9)]
    assert pareto_front(points) == [1, 3, 0]
    assert pareto_front([]) == []
