"""The reference protocol from the command line: what it sets, and where it shows."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.interrupted_main import small_network
from tfkd.cli.main import main
from tfkd.records import Manifest

TRAIN = ["--epochs", "1", "--steps-per-epoch", "1"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verbs train a network that takes moments to build."""
    monkeypatch.setattr("tfkd.models.build", small_network)


@pytest.fixture(scope="module")
def reference(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "records"
    words = ["prepare", str(cohort), str(out), "--protocol", "reference", "--target", "tumour"]
    assert main([*words, "--size", "48", "48"]) == 0
    return out


def settings(folder: Path) -> dict:
    return tomllib.loads((folder / "config.toml").read_text())


def test_prepare_takes_size_and_crop_from_it(reference: Path, cohort: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(reference)
    assert manifest.label_names == ("background", "tumour")
    assert (manifest.spec.size, manifest.spec.field_size) == ((48, 48), (64, 64))
    assert manifest.spec.window_hu == (-60, 140)
    words = ["prepare", str(cohort), str(tmp_path / "a"), "--config"]
    assert main([*words, str(reference / "config.toml")]) == 0
    assert Manifest.load(tmp_path / "a").spec == manifest.spec
    words = ["prepare", str(cohort), str(tmp_path / "b"), "--protocol", "reference"]
    assert main([*words, "--target", "organ", "--size", "32", "32", "--fit", "resize"]) == 0
    assert Manifest.load(tmp_path / "b").spec.field_size is None


def test_it_needs_a_target(cohort: Path, tmp_path: Path, fail) -> None:
    words = ["prepare", cohort, tmp_path / "out", "--protocol", "reference"]
    fail(words, "protocol reference: expected one target", "--target")


@pytest.mark.usefixtures("small")
def test_from_training_to_the_table(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fail
) -> None:
    run, file = tmp_path / "run", tmp_path / "student.tflite"
    assert main(["train", str(reference), str(run), *TRAIN]) == 0
    found = settings(run)
    assert (found["batch_size"], found["learning_rate"], found["epochs"]) == (16, 1e-2, 1)
    words = ["export", str(run / "model.keras"), str(file), "-r", str(reference)]
    assert main([*words, "-q", "float32"]) == 0
    assert json.loads(file.with_suffix(".json").read_text())["threshold"] == 0.4
    for model in (run / "model.keras", file):
        scores = tmp_path / f"evaluation{model.suffix}.json"
        capsys.readouterr()
        assert main(["evaluate", str(model), str(reference), "-o", str(scores)]) == 0
        assert "Protocol: reference; only slices that hold the target" in capsys.readouterr().out
        assert json.loads(scores.read_text())["protocol"] == "reference"
    contract = json.loads(file.with_suffix(".json").read_text())
    del contract["threshold"]
    file.with_suffix(".json").write_text(json.dumps(contract))
    fail(["evaluate", file, reference, "-o", tmp_path / "x.json"], "expected the threshold 0.4")


def test_the_default_is_the_schedule_of_whole_volumes(records: Path, tmp_path: Path) -> None:
    network = ["--network", "UNet", "--width", "0.05"]
    assert main(["train", str(records), str(tmp_path / "run"), *TRAIN, *network]) == 0
    found = settings(tmp_path / "run")
    assert (found["batch_size"], found["learning_rate"]) == (8, 2e-3)
