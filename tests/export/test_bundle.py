"""Bundles: what is written, and that nothing else is touched."""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.export.cards import evaluation_of, manifest_of
from tfkd.errors import ContractError, ExportError
from tfkd.export import to_litert, write_bundle
from tfkd.inference import Contract, Predictor, contract_path
from tfkd.inference.strict_json import encode_array

FILES = {"student.tflite", "student.json", "MODEL_CARD.md"}
NAMES = ("background", "liver", "tumour")


@pytest.fixture(scope="module")
def exported(student, spec, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "enet_v3.tflite"
    to_litert(student, path, spec=spec, label_names=NAMES)
    return path


@pytest.fixture(scope="module")
def contract(exported: Path) -> Contract:
    return Contract.load(exported)


def test_folder(exported, contract, tmp_path):
    out = write_bundle(exported, tmp_path / "deep" / "student")
    assert {path.name for path in out.iterdir()} == FILES
    assert [path.name for path in out.parent.iterdir()] == ["student"]
    assert (out / "student.tflite").read_bytes() == exported.read_bytes()
    renamed = Contract.load(out / "student.tflite")
    assert renamed.to_dict() == contract.to_dict() | {"file": "student.tflite"}
    assert contract.sha256 in (out / "MODEL_CARD.md").read_text("utf-8")
    assert Predictor(out).check() == 1.0


def test_archive_is_the_same_each_time(exported, tmp_path):
    first = write_bundle(exported, tmp_path / "first.zip")
    second = write_bundle(first, tmp_path / "second.zip")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert set(archive.namelist()) == FILES
    assert Predictor(first).check() == 1.0
    assert {path.name for path in tmp_path.iterdir()} == {"first.zip", "second.zip"}


def test_the_card_has_what_is_given(exported, contract, tmp_path):
    out = write_bundle(
        exported,
        tmp_path / "b",
        manifest=manifest_of(contract),
        evaluation=evaluation_of(contract, {"a-1": 1.0}),
        intended_use="Teaching.",
    )
    card = (out / "MODEL_CARD.md").read_text("utf-8")
    for words in ("Source: lits17", "| liver | 1.000 |", "Teaching."):
        assert words in card


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_an_earlier_bundle_is_replaced_when_asked(exported, tmp_path, name):
    out = write_bundle(exported, tmp_path / name)
    with pytest.raises(ExportError, match=r"there already.*overwrite"):
        write_bundle(exported, out)
    write_bundle(exported, out, intended_use="Another.", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert Predictor(out).check() == 1.0


def test_a_folder_without_a_name_of_its_own(exported, tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    write_bundle(exported, ".", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert {path.name for path in (tmp_path / "b").iterdir()} == FILES


def test_a_bundle_is_replaced_by_itself(exported, tmp_path):
    out = write_bundle(exported, tmp_path / "b")
    write_bundle(out / "student.tflite", out, overwrite=True)
    assert {path.name for path in out.iterdir()} == FILES


def test_nothing_foreign_is_removed(exported, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder.zip").mkdir()
    for name, found in (("mine", "thesis.txt"), ("file", "file"), ("folder.zip", "folder.zip")):
        with pytest.raises(ExportError, match=f"found {found}.*nothing was removed"):
            write_bundle(exported, tmp_path / name, overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_a_failed_write_leaves_the_earlier_bundle(exported, tmp_path, monkeypatch):
    out = write_bundle(exported, tmp_path / "b")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if ".new." in self.name:
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bundle(exported, out, intended_use="Another.", overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("name", ["b.tflite", "b.json", "b.keras"])
def test_names_that_are_no_bundle(exported, tmp_path, name):
    with pytest.raises(ExportError, match=r"folder, or of an archive that ends in \.zip"):
        write_bundle(exported, tmp_path / name)


def test_a_damaged_model_is_not_bundled(exported, tmp_path):
    model = tmp_path / "m.tflite"
    model.write_bytes(exported.read_bytes() + b"\0")
    contract_path(model).write_bytes(contract_path(exported).read_bytes())
    with pytest.raises(ContractError, match="SHA-256"):
        write_bundle(model, tmp_path / "b")
    record = json.loads(contract_path(exported).read_text())
    height, width, _ = record["golden"]["shape"]
    nobody = np.full((height, width), len(record["label_names"]), np.uint8)
    record["golden"]["mask"] = encode_array(nobody)
    model.write_bytes(exported.read_bytes())
    contract_path(model).write_text(json.dumps(record))
    with pytest.raises(ContractError, match="golden slice"):
        write_bundle(model, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_data_and_scores_of_another_model(exported, contract, tmp_path):
    other = ("background", "kidney", "tumour")
    manifest = manifest_of(contract, label_names=other)
    with pytest.raises(ExportError, match=r"records lits17: expected the labels.*kidney"):
        write_bundle(exported, tmp_path / "b", manifest=manifest)
    evaluation = evaluation_of(dataclasses.replace(contract, label_names=other), {"a-1": 1.0})
    with pytest.raises(ExportError, match=r"evaluation 'int8 file'.*kidney"):
        write_bundle(exported, tmp_path / "b", evaluation=evaluation)
    assert not (tmp_path / "b").exists()
