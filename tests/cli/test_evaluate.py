"""`tfkd evaluate` on what is passed on: the file alone, or its bundle."""

from pathlib import Path

import pytest

from tfkd.cli.main import main
from tfkd.evaluation import Evaluation
from tfkd.volumes import sha256_of


def scored(model: Path, records: Path, out: Path, *more: str) -> Evaluation:
    words = ["evaluate", str(model), str(records), "-o", str(out), "--no-masks", *more]
    assert main(words) == 0
    return Evaluation.load(out)


@pytest.mark.parametrize("name", ["bundle-1.2", "bundle.zip"])
def test_a_bundle_scores_as_its_file(
    exported: Path, records: Path, tmp_path: Path, name: str
) -> None:
    bundle = tmp_path / name
    assert main(["bundle", str(exported), str(bundle)]) == 0
    file = scored(exported, records, tmp_path / "file.json")
    # Beside a bundle this name is free: the contract lies inside of it.
    found = scored(bundle, records, bundle.with_suffix(".json"), "--role", "float32")
    assert found.table == file.table
    assert found.name == name.removesuffix(".zip")
    assert found.model.file == exported.name
    assert found.model.sha256 == sha256_of(exported)
    assert found.model.file_bytes == exported.stat().st_size


@pytest.mark.parametrize("out", ["bundle.json", "bundle/own.json", "bundle/more/scores.json"])
def test_nothing_is_written_into_a_bundle(
    own_export: Path, records: Path, tmp_path: Path, fail, out: str
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for suffix in (".tflite", ".json"):
        own_export.with_suffix(suffix).rename(bundle / f"own{suffix}")
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    fail(["evaluate", bundle, records, "-o", tmp_path / out], "outside of the bundle")
    assert {path: path.read_bytes() for path in bundle.iterdir()} == before
    assert list(tmp_path.iterdir()) == [bundle]


def test_a_folder_without_a_model(records: Path, tmp_path: Path, fail) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    words = ["evaluate", folder, records, "-o", tmp_path / "scores.json"]
    fail(words, folder, "expected one .tflite file in the folder")
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("model", "out"),
    [
        ("{folder}/own.tflite", "{folder}/own.json"),
        ("{folder}/own.tflite", "own.json"),
        ("own.tflite", "{folder}/own.json"),
        ("own.tflite", "./more/../own.json"),
        ("link.tflite", "own.json"),
    ],
)
def test_the_contract_of_a_file_is_not_overwritten(
    own_export: Path, records: Path, fail, monkeypatch: pytest.MonkeyPatch, model: str, out: str
) -> None:
    folder, contract = own_export.parent, own_export.with_suffix(".json")
    monkeypatch.chdir(folder)
    (folder / "more").mkdir()
    (folder / "link.tflite").symlink_to(own_export)
    before = contract.read_bytes()
    words = ["evaluate", model.format(folder=folder), records, "-o", out.format(folder=folder)]
    fail(words, "this is the model's contract")
    assert contract.read_bytes() == before
