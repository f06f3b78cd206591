"""CT without masks from the command line."""

import json
from pathlib import Path

import pytest

from tests.cli.interrupted_main import small_network
from tfkd.cli.main import main
from tfkd.records import Manifest

SHORT = ["--epochs", "1", "--steps-per-epoch", "2", "--batch-size", "4"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(own_cohort: Path) -> Path:
    (own_cohort / "segmentation-3.nii.gz").unlink()
    return own_cohort


def test_a_missing_mask_is_an_error_unless_told_otherwise(
    folder: Path, tmp_path: Path, capsys: Captured, fail
) -> None:
    words = ["prepare", folder, tmp_path / "out", "--size", "32", "32"]
    fail(words, "case volume-3: the mask is missing", "--missing-masks keep")
    assert main([*map(str, words), "--missing-masks", "keep"]) == 0
    assert "8 of 24 training slices have no labels" in capsys.readouterr().out


def test_another_folder_is_added(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (folder / "volume-3.nii.gz").rename(more / "ct_0000.nii.gz")
    words = ["prepare", folder, tmp_path / "out", "--size", "32", "32", "--unlabelled", more]
    assert main([str(word) for word in words]) == 0
    assert Manifest.load(tmp_path / "out").case("ct").mask is None


@pytest.mark.parametrize("words", [["--masks", "0.5"], ["--mask-cases", "3"]])
def test_masks_are_left_out(
    own_cohort: Path, tmp_path: Path, capsys: Captured, words: list[str]
) -> None:
    out = tmp_path / "out"
    assert main(["prepare", str(own_cohort), str(out), "--size", "32", "32", *words]) == 0
    manifest = Manifest.load(out)
    masks = {name: manifest.case(name).mask for name in manifest.splits["train"]}
    assert len(masks) == 3
    without = [name for name, mask in masks.items() if mask is None]
    assert len(without) == (2 if words[0] == "--mask-cases" else 1)
    if words[0] == "--mask-cases":
        assert masks["volume-3"] is not None
    unlabelled = sum(manifest.case(name).slices for name in without)
    assert f"{unlabelled} of 24 training slices have no labels" in capsys.readouterr().out


def test_distill_takes_them_and_train_does_not(
    folder: Path,
    models: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tfkd.models.build", small_network)
    records = tmp_path / "records"
    words = ["prepare", folder, records, "--size", "32", "32", "--missing-masks", "keep"]
    assert main([str(word) for word in words]) == 0
    seen = {}
    for name, more in (
        ("train", []),
        ("distill", ["--teacher", str(models / "fitting.keras"), "--cache-teacher"]),
    ):
        verb = "train" if name == "train" else "distill"
        capsys.readouterr()
        assert main([verb, str(records), str(tmp_path / name), *SHORT, *more]) == 0
        told = "8 of 24 training slices have no labels" in capsys.readouterr().out
        assert told == (name == "distill")
        seen[name] = set(json.loads((tmp_path / name / "run.json").read_text())["trained_on"])
    assert seen["distill"] - seen["train"] == {"volume-3"}
    curves = (tmp_path / "distill" / "history.csv").read_text().splitlines()[0].split(",")
    assert {"overlap", "prediction_map"} < set(curves)  # ours is the default
