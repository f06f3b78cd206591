"""`tfkd export` with a budget of Dice, on whole volumes."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tfkd.cli import export_modes
from tfkd.cli.export import Config
from tfkd.cli.export_modes import mode_table, volumes_to_score
from tfkd.cli.main import main
from tfkd.errors import ExportError, RecordError
from tfkd.export import mode_measurements
from tfkd.export.mode_row import ModeRow
from tfkd.inference import Contract, Predictor
from tfkd.records import Manifest
from tfkd.report import evaluate


@pytest.fixture(autouse=True)
def _no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode_measurements, "file_cost", lambda *_: (1.5, 2_000_000))


def words(models: Path, records: Path, out: Path, *more: str) -> list[str]:
    return ["export", str(models / "fitting.keras"), str(out), "-r", str(records), *more]


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


def test_no_measurement_is_lost_or_made_twice(
    models: Path,
    records: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scored = []

    def counted(*arguments, **options):
        scored.append(arguments[2].name)
        return evaluate(*arguments, **options)

    def refuse(*_, **__):
        raise ExportError("no kernel")

    monkeypatch.setattr("tfkd.report.evaluate", counted)
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
    def poor(manifest, cases):
        return lambda predictor, name: {"liver": 0.9 if name == "Keras" else 0.8}

    monkeypatch.setattr(export_modes, "_score", poor)
    out = tmp_path / "s.tflite"
    command = words(models, records, out, "--max-dice-drop", "0.5", "--modes", "float32")
    fail(command, "float32 loses least, 10.00", "s_modes/modes.csv", "Allow more points")
    assert not out.exists()
    assert (tmp_path / "s_modes" / "modes.csv").is_file()


@pytest.mark.parametrize(
    ("more", "mentions"),
    [
        (("--modes", "int8"), ("--max-dice-drop", "--modes")),
        (("--cases", "1", "--source", "x"), ("--cases, --source",)),
        (("--all-modes", "--modes", "int4"), ("--modes: expected some of", "int4")),
        (("--max-dice-drop", "1", "--min-agreement", "0.9"), ("--min-agreement, received both",)),
        (("--max-dice-drop", "-1"), ("--max-dice-drop", "-1")),
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


def test_scores_are_of_these_volumes_and_labels(records: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(records)
    config = Config(Path("s.keras"), Path("s.tflite"), records, all_modes=True)
    cases = volumes_to_score(config, manifest)
    contexts = [
        export_modes._context(one, cases)
        for one in (
            manifest,
            dataclasses.replace(manifest, target_labels=(2,)),
            dataclasses.replace(manifest, identity_affine="LPS"),
        )
    ]
    assert len(set(contexts)) == 3
    assert export_modes._context(manifest, cases[:0]) not in contexts
    moved = tmp_path / "moved"
    shutil.copytree(manifest.source_root, moved)
    mask = moved / cases[0].mask.relative_to(manifest.source_root)
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
