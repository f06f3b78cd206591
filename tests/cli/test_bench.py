"""`tfkd bench`: one row a bundle, on the terminal and in a file."""

import contextlib
import csv
import dataclasses
import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tfkd.bench import BenchResult, OperatorTime
from tfkd.cli.main import main


def _result(name: str, ms: float) -> BenchResult:
    return BenchResult(
        name=name,
        quantization="int8",
        input_shape=(32, 32, 1),
        size_bytes=1_234_567,
        threads=2,
        runs=7,
        ms_median=ms,
        ms_p95=2 * ms,
        cpu_ms=1.5 * ms,
        slices_per_s={1: 600 / ms, 2: 1000 / ms},
        volume_shape=(5, 48, 40),
        volume_s=0.25,
        cold_start_s=0.75,
        ram_model_bytes=90_000_000,
        ram_volume_bytes=None,
        litert_benchmark_ms=None,
        operators=(OperatorTime("CONV_2D", 3, 0.75, 0), OperatorTime("PRELU", 2, 0.25, 2)),
        machine="Linux x86_64, 2 CPU cores",
    )


@pytest.fixture
def anything_is_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files need not be there."""
    module = importlib.import_module("tfkd.inference")
    monkeypatch.setattr(module, "open_bundle", contextlib.nullcontext)
    monkeypatch.setattr(module.Contract, "load", lambda path: None)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What is asked of `tfkd.bench.bench`, which answers at once."""
    asked: list[dict] = []

    def bench(path: Path, **arguments: object) -> BenchResult:
        asked.append({"path": path, **arguments})
        return _result(path.name, 4.0 * len(asked))

    monkeypatch.setattr(importlib.import_module("tfkd.bench"), "bench", bench)
    return asked


@pytest.mark.usefixtures("anything_is_a_bundle")
def test_table(measured: list[dict], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "a/one.zip", "two.tflite", "--runs", "7", "--operators", "--ct", "ct.nii"]
    assert main(words) == 0
    assert [one["path"] for one in measured] == [Path("a/one.zip"), Path("two.tflite")]
    assert {(one["runs"], one["ct"], one["operators"]) for one in measured} == {
        (7, Path("ct.nii"), True)
    }
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:6] == ["bundle", "format", "MB", "ms", "p95", "CPU"]
    expected = "one.zip int8 1.23 4.00 8.00 6.00 150.0 250.0 0.25 0.75 90 – –"
    assert lines[1].split() == expected.split()
    assert lines[2].split()[:4] == ["two.tflite", "int8", "1.23", "8.00"]
    assert "5 × 48 × 40" in lines[4]
    assert lines[5] == "Linux x86_64, 2 CPU cores"
    rows = [line.split() for line in lines]
    assert ["CONV_2D", "3", "0.750", "75%", "3"] in rows
    assert ["PRELU", "2", "0.250", "25%", "0"] in rows


@pytest.mark.usefixtures("anything_is_a_bundle")
def test_cores_may_go_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [_result("one.zip", 4.0), _result("two.zip", 4.0)]
    results[1] = dataclasses.replace(results[1], slices_per_s={1: 150.0})
    module = importlib.import_module("tfkd.bench")
    monkeypatch.setattr(module, "bench", lambda path, **arguments: results.pop(0))
    assert main(["bench", "one.zip", "two.zip"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[6:8] == ["150.0", "250.0"]
    assert lines[2].split()[6:8] == ["150.0", "–"]


@pytest.mark.usefixtures("anything_is_a_bundle")
def test_files(measured: list[dict], tmp_path: Path) -> None:
    for suffix in (".json", ".csv"):
        out = tmp_path / f"bench{suffix}"
        assert main(["bench", "one.zip", "two.zip", "--out", str(out)]) == 0
    facts = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    expected = json.loads(json.dumps(dataclasses.asdict(_result("one.zip", 4.0))))
    assert facts[0] == expected
    rows = list(csv.DictReader((tmp_path / "bench.csv").read_text("utf-8").splitlines()))
    assert [row["name"] for row in rows] == ["one.zip", "two.zip"]
    assert rows[0]["slices_per_s_2"] == str(1000 / 12.0)
    assert rows[0]["volume_shape"] == "5x48x40"
    assert rows[0]["litert_benchmark_ms"] == ""
    assert (tmp_path / "bench.config.toml").exists()


@pytest.mark.usefixtures("anything_is_a_bundle")
def test_an_operator_that_was_not_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    operators = (OperatorTime("CONV_2D", 3, 0.75, 0), OperatorTime("WHILE", 1, None, None))
    result = dataclasses.replace(_result("one.zip", 4.0), operators=operators)
    module = importlib.import_module("tfkd.bench")
    monkeypatch.setattr(module, "bench", lambda path, **arguments: result)
    assert main(["bench", "one.zip"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["CONV_2D", "3", "0.750", "100%", "3"] in rows
    assert ["WHILE", "1", "not", "timed", "–", "–"] in rows


def test_every_bundle_is_looked_at_before_any_is_measured(
    measured: list[dict], exported: Path, fail: Callable[..., str], tmp_path: Path
) -> None:
    fail(["bench", exported, tmp_path / "none.zip"], "none.zip: expected a bundle, found none")
    assert not measured


def test_other_files_are_refused(
    measured: list[dict], fail: Callable[..., str], tmp_path: Path
) -> None:
    fail(["bench", "one.zip", "--out", tmp_path / "bench.txt"], "bench.txt", ".json or .csv")
    assert not measured


def test_a_missing_bundle_is_one_line(fail: Callable[..., str], tmp_path: Path) -> None:
    fail(["bench", tmp_path / "none.zip"], "none.zip: expected a bundle, found none")
