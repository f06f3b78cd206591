"""`tfkd bundle` and `tfkd check`: from an export to what is passed on, and back."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfkd.cli.main import main
from tfkd.inference import Predictor, contract_path
from tfkd.inference.strict_json import encode_array

Fail = Callable[..., str]


@pytest.fixture(scope="module")
def scores(exported: Path, records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the evaluations of the file and of a network."""
    folder = tmp_path_factory.mktemp("scores") / "evaluation"
    words = ["evaluate", str(exported), str(records), "-o", str(folder / "file.json"), "--no-masks"]
    assert main([*words, "--role", "float32"]) == 0
    other = json.loads((folder / "file.json").read_text())
    other["model"] |= {"name": "student", "file": "student.keras", "role": "distilled"}
    other["model"]["sha256"] = "0" * 64
    (folder / "student.json").write_text(json.dumps(other))
    return folder


@pytest.fixture(scope="module")
def run_folder(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves beside its student."""
    from tfkd.volumes import sha256_of

    folder = tmp_path_factory.mktemp("run")
    record = {
        "command": "train",
        "epochs_run": 4,
        "config": {"network": "UNet"},
        "manifest_sha256": sha256_of(records / "manifest.json"),
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_from_export_to_mask(
    exported: Path,
    records: Path,
    scores: Path,
    run_folder: Path,
    cohort: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "student.zip"
    words = ["bundle", str(exported), str(out), "-r", str(records), "--evaluation", str(scores)]
    words += ["--student", str(run_folder / "model.keras"), "--intended-use", "Teaching."]
    assert main([*words, "--limits", "Made of noise.", "Not of people."]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"student.zip", "student.zip.bundle.config.toml"}

    folder = tmp_path / "passed_on"
    assert main(["bundle", str(out), str(folder)]) == 0
    assert "unknown of: data (--records), scores" in capsys.readouterr().out
    shutil.rmtree(folder)
    settings = str(tmp_path / "student.zip.bundle.config.toml")
    assert main(["bundle", str(exported), str(folder), "--config", settings]) == 0
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    for words_of_card in ("Of this file", "1 test", "Teaching.", "Made of noise.", "| UNet |"):
        assert words_of_card in card
    for path in (records, cohort, tmp_path):
        assert str(path) not in card

    capsys.readouterr()
    assert main(["check", str(out), str(folder), str(exported)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ok: float32")[0] for line in lines] == [
        str(out),
        str(folder),
        str(exported),
    ]
    assert all("golden slice 100.00%" in line for line in lines)

    ct, masks = str(cohort / "volume-0.nii.gz"), []
    for model in (out, folder, exported):
        mask = tmp_path / f"{len(masks)}.nii.gz"
        assert main(["predict", str(model), ct, "-o", str(mask)]) == 0
        masks.append(mask.read_bytes())
    assert masks[0] == masks[1] == masks[2]


def test_check_fails_with_the_reason(
    own_export: Path, exported: Path, fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    path = contract_path(own_export)
    record = json.loads(path.read_text())
    height, width, _ = record["golden"]["shape"]
    nobody = np.full((height, width), len(record["label_names"]), np.uint8)
    record["golden"]["mask"] = encode_array(nobody)
    path.write_text(json.dumps(record))
    fail(["check", own_export], "golden slice", "ai-edge-litert")
    assert main(["check", str(own_export), str(exported), "none.zip"]) == 1
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{own_export}: FAILED: ")
    assert lines[1].startswith(f"{exported}: ok: ")
    assert lines[2].startswith("none.zip: FAILED: ")
    assert said.err.endswith(f"2 of 3 bundles failed: {own_export}, none.zip.\n")


def test_check_needs_no_tensorflow(exported: Path) -> None:
    code = (
        "import sys; from tfkd.cli.main import main; status = main(['check', sys.argv[1]])\n"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)\nsys.exit(status)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(exported)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert ": ok: " in run.stdout


def test_bad_input(
    exported: Path, records: Path, scores: Path, own_cohort: Path, tmp_path: Path, fail: Fail
) -> None:
    out = tmp_path / "out.zip"
    words = ["bundle", exported, out]
    fail([*words, "--evaluation", own_cohort], own_cohort, "expected one evaluation", "received 0")
    fail([*words, "--student", tmp_path / "model.keras"], "run.json", "found none")
    (tmp_path / "run.json").write_text("[1]")
    fail([*words, "--student", tmp_path], "run.json: expected the record of a training")
    (tmp_path / "run.json").write_text('{"manifest_sha256": "0"}')
    fail([*words, "-r", records, "--student", tmp_path], records, "received others")
    fail(["bundle", tmp_path / "none.tflite", out], "none.tflite", "found none")
    out.write_bytes(b"mine")
    fail(words, out, "there already", "--overwrite")
    assert out.read_bytes() == b"mine"


def test_the_settings_of_the_export_stay(own_export: Path) -> None:
    settings = own_export.with_suffix(".config.toml")
    settings.write_text("# of the export\n")
    assert main(["bundle", str(own_export), str(own_export.with_suffix(""))]) == 0
    assert main(["bundle", str(own_export), str(own_export.with_suffix(".zip"))]) == 0
    assert settings.read_text() == "# of the export\n"


def test_another_student_of_the_same_size(
    exported: Path, scores: Path, tmp_path: Path, fail: Fail
) -> None:
    """The SHA-256 tells them apart; scores from before it was kept are said to prove nothing."""
    folder = tmp_path / "scores"
    folder.mkdir()
    own = json.loads((scores / "file.json").read_text())
    (folder / "own.json").write_text(json.dumps(own))
    own["model"]["sha256"] = "0" * 64
    (folder / "other.json").write_text(json.dumps(own))
    words = ["bundle", str(exported), str(tmp_path / "b"), "--evaluation", str(folder)]
    assert main(words) == 0
    assert "Of this file, on" in (tmp_path / "b" / "MODEL_CARD.md").read_text("utf-8")
    (folder / "own.json").unlink()
    fail([*words, "--overwrite"], "expected one evaluation", "received 0")
    del own["model"]["sha256"]
    (folder / "old.json").write_text(json.dumps(own))
    assert main([*words, "--overwrite"]) == 0
    assert "Not proven to be this file" in (tmp_path / "b" / "MODEL_CARD.md").read_text("utf-8")


def test_the_scores_of_one_file(exported: Path, scores: Path, tmp_path: Path) -> None:
    for name in ("student.json", "file.csv"):
        out = tmp_path / name
        words = ["bundle", str(exported), str(out.with_suffix("")), "--overwrite"]
        assert main([*words, "--evaluation", str(scores / name)]) == 0
        card = (out.with_suffix("") / "MODEL_CARD.md").read_text("utf-8")
        assert ("**Not of this file**" in card) == (name == "student.json")
    assert np.isclose(Predictor(tmp_path / "file").check(), 1.0)


def test_check_goes_on_after_an_error_of_any_kind(
    exported: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, threads: int | None) -> Predictor:
        if path.name == "broken.tflite":
            raise ValueError("logits: expected finite numbers")
        return Predictor(path, threads)

    monkeypatch.setattr("tfkd.inference.Predictor", broken)
    assert main(["check", "broken.tflite", str(exported)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "broken.tflite: FAILED: logits: expected finite numbers"
    assert lines[1].startswith(f"{exported}: ok: ")
