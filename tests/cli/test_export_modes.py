"""`tfkd export` with a budget of Dice, on whole volumes."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tfkd.cli import export_modes
from tfkd.cli.export import Config
from tfkd.cli.export_modes import mode_table, volumes_to_score
from tfkd.cli.main import main
from tfkd.errors import ExportError, RecordError
from tfkd.evaluation import VolumeScorer
from tfkd.export import dice_budget, mode_measurements
from tfkd.export.mode_row import ModeRow
from tfkd.inference import Contract, Predictor
from tfkd.records import Manifest


@pytest.fixture(autouse=True)
def _no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode_measurements, "file_cost", lambda *_: (1.5, 2_000_000))


def words(models: Path, records: Path, out: Path, *more: str) -> list[str]:
    return ["export", str(models / "fitting.keras"), str(out), "-r", str(records), *more]


def dice_is(monkeypatch: pytest.MonkeyPatch, dice: Callable[[str], float]) -> None:
    """Sets the Dice of each number format."""
    monkeypatch.setattr(
        VolumeScorer, "label_dice", lambda _, __, name, progress: {"liver": dice(name)}
    )


def test_the_smallest_file_within_the_budget(
    models: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "student.tflite"
    modes = ("float32", "dynamic_int8", "int8")
    assert (
        main(words(models, records, out, "--max-dice-drop", "1", "--all-modes", "--modes", *modes))
        == 0
    )
    said = capsys.readouterr().out
    folder = tmp_path / "student_modes"
    with open(folder / "modes.csv", newline="") as file:
        rows = {row["mode"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"Keras", *modes}
    assert abs(float(rows["float32"]["dice_drop"])) < 0.01
    assert float(rows["Keras"]["dice tumour"]) > 0.5
    fitting = {
        mode: int(row["size_bytes"]) for mode, row in rows.items() if row["within_budget"] == "True"
    }
    smallest = min(fitting, key=fitting.__getitem__)
    assert out.read_bytes() == (folder / f"{smallest}.tflite").read_bytes()
    assert Predictor(out).check() == 1.0
    assert Contract.load(out).file == "student.tflite"
    reason = json.loads((folder / "modes.json").read_text("utf-8"))["reason"]
    assert reason.startswith(f"{smallest} is the smallest file")
    assert reason in said
    for mode in rows:
        assert f"\n{mode} " in said
    assert (folder / "modes.png").is_file()
    assert (tmp_path / "student.config.toml").is_file()


def test_what_is_for_accelerators_is_said(
    models: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "student.tflite"
    assert main(words(models, records, out, "-q", "int16x8", "--min-agreement", "0")) == 0
    assert "a CPU takes tens of times longer" in capsys.readouterr().out


def test_no_measurement_is_lost_or_made_twice(
    models: Path,
    records: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scored = []
    score = VolumeScorer.label_dice

    def counted(self, predictor, name, progress):
        scored.append(name)
        return score(self, predictor, name, progress)

    def refuse(*_, **__):
        raise ExportError("no kernel")

    monkeypatch.setattr(VolumeScorer, "label_dice", counted)
    out = tmp_path / "s.tflite"
    command = words(models, records, out, "--all-modes", "--modes", "float32", "-q", "float32")
    with monkeypatch.context() as broken:
        broken.setattr("tfkd.export.to_litert", refuse)
        assert main(command) == 1
    assert "error: no kernel" in capsys.readouterr().err
    assert (tmp_path / "s_modes" / "modes.csv").is_file()
    assert scored == ["Keras", "float32"]
    assert not out.exists()
    # Dice does not depend on the threads.
    assert main([*command, "--threads", "1"]) == 0
    assert len(scored) == 2
    assert out.is_file()


def test_no_file_within_the_budget(
    models: Path, records: Path, tmp_path: Path, fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice_is(monkeypatch, lambda name: 0.9 if name == "Keras" else 0.8)
    out = tmp_path / "s.tflite"
    command = words(models, records, out, "--max-dice-drop", "0.5", "--modes", "float32")
    fail(command, "float32 loses least, 10.00", "s_modes/modes.csv", "Allow more points")
    assert not out.exists()
    assert (tmp_path / "s_modes" / "modes.csv").is_file()


@pytest.fixture
def no_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No operator of int8 can be left in floating point."""

    def refuse(*_):
        raise ExportError("no ranking today")

    monkeypatch.setattr(dice_budget, "MixedInt8", refuse)


def test_trained_on_where_int8_loses_too_much(
    models: Path,
    records: Path,
    tmp_path: Path,
    no_mixed: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dice_is(monkeypatch, lambda name: 0.5 if name == "int8" else 0.9)
    student = (models / "fitting.keras").read_bytes()
    out = tmp_path / "s.tflite"
    command = words(models, records, out, "--max-dice-drop", "1", "--modes", "int8")
    assert main([*command, "--qat-epochs", "2", "--seed", "3"]) == 0
    assert (models / "fitting.keras").read_bytes() == student
    said = capsys.readouterr()
    done = "2 epochs of 3 steps on the training split"
    assert done in said.out
    assert "training for int8: 6/6 loss" in said.err
    folder = tmp_path / "s_modes"
    with open(folder / "modes.csv", newline="") as file:
        rows = {row["mode"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"Keras", "int8", "int8_fine_tuned"}
    assert done in rows["int8_fine_tuned"]["note"]
    assert "seed 3" in rows["int8_fine_tuned"]["note"]
    assert out.read_bytes() == (folder / "int8_fine_tuned.tflite").read_bytes()
    assert out.read_bytes() != (folder / "int8.tflite").read_bytes()
    contract = Contract.load(out)
    assert (contract.quantization, contract.input.dtype) == ("int8", "int8")
    assert Predictor(out).check() == 1.0
    reason = json.loads((folder / "modes.json").read_text("utf-8"))["reason"]
    assert reason.startswith("int8_fine_tuned is the smallest file")
    assert "plain int8 would lose 40.00" in reason


def test_no_training_where_none_is_wanted(
    models: Path, records: Path, tmp_path: Path, no_mixed: None, fail, monkeypatch
) -> None:
    dice_is(monkeypatch, lambda name: 0.9 if name == "Keras" else 0.5)
    command = words(models, records, tmp_path / "s.tflite", "--max-dice-drop", "1")
    fail([*command, "--modes", "int8", "--qat-epochs", "0"], "int8 loses least, 40.00")
    with open(tmp_path / "s_modes" / "modes.csv", newline="") as file:
        assert [row["mode"] for row in csv.DictReader(file)] == ["Keras", "int8"]


@pytest.mark.parametrize(
    ("more", "mentions"),
    [
        (("--modes", "int8"), ("--max-dice-drop", "--modes")),
        (("--cases", "1", "--source", "x"), ("--cases, --source",)),
        (("--all-modes", "--modes", "int4"), ("--modes: expected some of", "int4")),
        (("--max-dice-drop", "1", "--min-agreement", "0.9"), ("--min-agreement, received both",)),
        (("--max-dice-drop", "-1"), ("--max-dice-drop", "-1")),
        (("--max-dice-drop", "1", "--qat-epochs", "-1"), ("--qat-epochs: expected 0", "-1")),
        (("--all-modes", "--source", "absent"), ("absent/volume-", "--source")),
        (("--all-modes", "--cases", "77"), ("case '77' does not exist",)),
    ],
)
def test_bad_settings(models: Path, records: Path, tmp_path: Path, fail, more, mentions) -> None:
    fail([*words(models, records, tmp_path / "s.tflite"), *more], *mentions)
    assert not any(tmp_path.iterdir())


def test_cases_in_place_of_the_validation_split(records: Path) -> None:
    manifest = Manifest.load(records)
    config = Config(Path("s.keras"), Path("s.tflite"), records, all_modes=True)
    by_default = [case.case_id for case in volumes_to_score(config, manifest)]
    assert by_default == list(manifest.splits["validation"])
    (test_case,) = manifest.splits["test"]
    named = dataclasses.replace(config, cases=(test_case,))
    assert [case.case_id for case in volumes_to_score(named, manifest)] == [test_case]
    seen = dataclasses.replace(config, cases=(manifest.splits["train"][0],))
    with pytest.raises(export_modes.ConfigError, match=r"not seen.*of the training split"):
        volumes_to_score(seen, manifest)
    without = dataclasses.replace(manifest, splits={**manifest.splits, "validation": ()})
    with pytest.raises(export_modes.ConfigError, match="--cases, or prepare the records"):
        volumes_to_score(config, without)
    with pytest.raises(RecordError, match="is gone"):
        volumes_to_score(dataclasses.replace(config, source=Path("absent")), manifest)


def test_changed_volumes_are_refused(records: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(records)
    config = Config(Path("s.keras"), Path("s.tflite"), records, all_modes=True)
    (case,) = volumes_to_score(config, manifest)
    moved = tmp_path / "moved"
    shutil.copytree(manifest.source_root, moved)
    mask = moved / case.mask.relative_to(manifest.source_root)
    mask.write_bytes(mask.read_bytes() + b" ")
    with pytest.raises(RecordError, match=r"no longer the file.*SHA-256"):
        volumes_to_score(dataclasses.replace(config, source=moved), manifest)


def test_table_by_hand() -> None:
    rows = (
        ModeRow("Keras", label_dice={"liver": 0.9}, dice_drop=0.0),
        ModeRow("int8", 2_000_000, 1.5, None, {"liver": 0.85}, 5.0, False, "worst: conv"),
        ModeRow("int16x8", note="no kernel"),
    )
    assert mode_table(rows).splitlines() == [
        "mode       MB  ms/slice  RAM MB  liver   mean  drop  within",
        "Keras       –         –       –  90.00  90.00  0.00       –",
        "int8     2.00      1.50       –  85.00  85.00  5.00      no",
        "int16x8     –         –       –      –      –     –       –",
        "",
        "int8: worst: conv",
        "int16x8: no kernel",
    ]
