"""`tfkd preflight`: the page, the verdict and the exit status."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfkd.cli.main import main
from tfkd.export import Preflight, PreflightFile

FILE = PreflightFile("float32", 500_000, {"CONV_2D": 9, "PRELU": 2}, {}, 2_000_000, None, 3.0, 2.5)
INT8 = PreflightFile(
    "int8", 140_000, {"CONV_2D": 9, "PRELU": 2}, {"PRELU": 2}, 500_000, 9, 8.0, 7.5
)
GOOD = Preflight(
    "enet",
    (64, 48, 1),
    4,
    91_746,
    119_400_000,
    1,
    {"float32": FILE, "int8": INT8},
    {"forward": None, "backward": "unsupported operations: X"},
    (),
    ("int8 takes 3.0 times as long",),
)
BAD = Preflight("odd", (64, 64, 1), 2, 10, None, 1, problems=("Student 'odd': MaxPoolWithArgmax.",))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The students that are looked at, and what is answered: the last item of the list."""
    students: list[Any] = [GOOD]

    def preflight(student: Any, **options: Any) -> Preflight:
        students.insert(0, student)
        return students[-1]

    monkeypatch.setattr(importlib.import_module("tfkd.export"), "preflight", preflight)
    return students


def test_a_network_by_name(
    seen: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.json"
    words = ["preflight", "enet", "--width", "0.25", "--size", "64", "48", "--classes", "4"]
    assert main([*words, "--out", str(out)]) == 0
    assert seen[0].input_shape == (None, 64, 48, 1)
    assert seen[0].output_shape == (None, 64, 48, 4)
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0] == (
        "enet: 64 × 48 × 1, 4 classes, 91746 parameters, 119.4 M multiply-accumulates a slice"
    )
    rows = [line.split() for line in lines]
    assert ["float32", "0.50", "3.00", "2.50", "2.00", "–"] in rows
    assert ["PRELU", "2", "2", "2", "0"] in rows
    assert "XLA, forward: compiles" in lines
    assert "XLA, backward: does not compile" in lines
    assert "warning: int8 takes 3.0 times as long" in lines
    assert lines[-1] == "verdict: can be exported as float32 and int8"
    facts = json.loads(out.read_text("utf-8"))
    assert facts["ok"] is True
    assert facts["files"]["int8"]["outside"] == {"PRELU": 2}


def test_a_saved_network(seen: list[Any], models: Path, fail: Callable[..., str]) -> None:
    path = models / "fitting.keras"
    assert main(["preflight", str(path)]) == 0
    assert seen[0].name == "tiny"
    fail(["preflight", path, "--width", "0.5"], path, "expected no width")
    fail(["preflight", models / "none.keras"], "none.keras", "found none")
    fail(["preflight", "Enett"], "Expected the name of a network", "Enett")


def test_what_cannot_be_exported_is_1(
    seen: list[Any], models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen[-1] = BAD
    assert main(["preflight", str(models / "fitting.keras")]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "verdict: CANNOT be exported"
    assert "multiply-accumulates" in said.out
    assert "cannot be exported: Student 'odd': MaxPoolWithArgmax." in said.err


def test_the_real_thing(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preflight", str(models / "fitting.keras")]) == 0
    text = capsys.readouterr().out
    assert "CONV_2D" in text
    assert "verdict: can be exported as float32 and int8" in text
