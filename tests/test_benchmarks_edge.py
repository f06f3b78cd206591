"""The benchmark of an exported file against other runtimes. Nothing is timed here."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.edge import COMPARED, candidates, measure, program, volume
from benchmarks.edge.candidates import CANDIDATES, COMPILED_KERAS, REFERENCE, with_variants
from benchmarks.edge.table import facts, markdown, write_table
from benchmarks.edge.volume import volume_dice
from benchmarks.edge.without_amx import has_amx
from tfkd.bench.bench import synthetic_ct
from tfkd.volumes import write_volume

ROOT = Path(__file__).resolve().parents[1]


def _row(**values):
    row = {
        "student": "ENet",
        "size": 64,
        "threads": 1,
        "candidate": "tfkd, int8",
        "ms_median": 2.0,
        "ms_p95": 3.0,
        "cpu_ms": 2.5,
        "runs": 3,
        "size_bytes": 1_500_000,
        "peak_mib": 60.0,
        "agreement": 0.995,
        "speedup": 3.0,
        "size_ratio": 0.25,
    }
    return {**row, **values}


def _benchmark(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return result


def test_it_runs(tmp_path):
    """From weights to tables; a candidate whose package is missing does not stop the others."""
    only = ["tfkd, float32", "predict_on_batch"]
    result = _benchmark("edge", "--quick", "--out", str(tmp_path), "--only", *only)
    assert "## ENet, 64 × 64, 1 thread\n" in result.stdout
    assert result.stdout == (tmp_path / "table.md").read_text("utf-8")
    document = json.loads((tmp_path / "rows.json").read_text("utf-8"))
    assert document["about"]["numpy"] == np.__version__
    keras_row, file_row = document["rows"]
    assert keras_row["agreement"] == 1
    assert file_row["agreement"] > 0.999
    assert keras_row["size_ratio"] == 1
    assert file_row["runs"] == keras_row["runs"] == 3
    assert file_row["speedup"] is None  # no compiled Keras model among them
    assert 20 < file_row["peak_mib"] < keras_row["peak_mib"]
    assert (tmp_path / "table.csv").read_text("utf-8").count("\n") == 3


def test_what_does_not_run_is_a_row_that_says_so(tmp_path, monkeypatch):
    np.save(tmp_path / COMPARED, np.zeros((1, 4, 4, 1), np.float32))
    (tmp_path / "student.keras").write_bytes(b"no model")
    name = "ONNX Runtime, int8"
    rows = measure.measure(
        tmp_path,
        1,
        ["tfkd, int8", name],
        rounds=1,
        seconds=0.0,
        failed={"onnx_int8": "ModuleNotFoundError: no such package"},
        progress=lambda text: None,
    )
    assert [row["candidate"] for row in rows] == ["tfkd, int8", name]
    assert "student_int8.tflite" in rows[0]["error"]
    assert rows[1]["error"] == "ModuleNotFoundError: no such package"


def test_names_and_files_are_each_there_once():
    names = [each.name for each in with_variants(False)]
    assert len(set(names)) == len(names) == 12
    assert set(names) <= set(CANDIDATES)
    variants = {each.name for each in with_variants(True)} - set(names)
    assert {name.removesuffix(", no AMX") for name in variants} == {
        *("tfkd, dynamic_int8", "tfkd, int8", "ONNX Runtime, int8")
    }
    assert {REFERENCE, *COMPILED_KERAS} <= set(CANDIDATES)
    assert candidates.CANDIDATES["tfkd, int8"].file == "student_int8.tflite"


@pytest.mark.skipif(not has_amx(), reason="this processor has no AMX")
def test_amx_is_refused():
    """The system call by which XNNPACK asks for the registers gets no more than "not permitted"."""
    ask = "system.syscall(158, 0x1023, 18), ctypes.get_errno()"
    code = (
        "import ctypes; from benchmarks.edge.without_amx import refuse_amx\n"
        f"system = ctypes.CDLL(None, use_errno=True); print({ask}); refuse_amx(); print({ask})"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["0 0", "-1 1"]


def test_table(tmp_path):
    about = facts()
    rows = [
        _row(),
        _row(candidate="Keras, XLA", agreement=None, speedup=None),
        {"student": "ENet", "size": 64, "threads": 2, "candidate": "x", "error": "no | package"},
    ]
    text = markdown(rows, about)
    assert "| tfkd, int8 | 2.00 | 3.00 | 2.50 | 3.00 | 1.50 | 25% | 60 | 99.50% |" in text
    assert "| – | 1.50 | 25% | 60 | – |" in text
    assert "## ENet, 64 × 64, 2 threads" in text
    assert "did not run: no / package" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1
    paths = write_table(rows, about, tmp_path / "out")
    assert [path.name for path in paths] == ["table.md", "table.csv", "rows.json"]
    assert paths[0].read_text("utf-8") == text
    assert json.loads(paths[2].read_text("utf-8"))["rows"] == rows


def test_a_volume_from_file_to_file(tmp_path):
    write_volume(synthetic_ct(3, 96), tmp_path / "ct.nii.gz")
    models = ROOT / "saved_models"
    result = _benchmark(
        "volume",
        str(tmp_path / "ct.nii.gz"),
        str(models / "phantom_student.keras"),
        str(models / "phantom_student_int8.tflite"),
        *("--rounds", "1", "--threads", "1", "--out", str(tmp_path / "found.json")),
    )
    assert "3 × 96 × 96 voxels" in result.stdout
    document = json.loads((tmp_path / "found.json").read_text("utf-8"))
    (row,) = document["rows"]
    assert row["dice_with"] == "Keras student"
    assert list(row["dice"]) == ["liver", "tumour"]
    assert 0 < row["inference_s"] < row["seconds"]
    assert 0 < row["first_s"] < row["seconds"]
    assert 0 < row["share"] < 1


def test_dice_of_volumes():
    mask, other = np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4), np.uint8)
    mask[0, :2, :2] = 1
    other[0, :2, 1:3] = 1
    other[1] = 2
    dice = volume_dice(mask, other, ("background", "liver", "tumour", "spleen"))
    assert dice == {"liver": pytest.approx(0.5), "tumour": 0.0, "spleen": None}


@pytest.mark.parametrize(
    ("benchmark", "arguments"), [(program, []), (volume, ["ct.nii.gz", "s.keras", "s.tflite"])]
)
def test_at_least_one_round(benchmark, arguments, capsys):
    with pytest.raises(SystemExit):
        benchmark.main([*arguments, "--rounds", "0"])
    assert "--rounds: expected at least 1, received 0." in capsys.readouterr().err


@pytest.mark.parametrize("program", ["edge", "volume"])
def test_help_has_an_example(program):
    result = _benchmark(program, "--help")
    assert f"example: python -m benchmarks {program} " in result.stdout
