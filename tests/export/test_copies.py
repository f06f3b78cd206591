"""A pair of file and contract under another name."""

import pytest

from tfkd.errors import ContractError
from tfkd.export import to_litert
from tfkd.export.copies import copy_model
from tfkd.inference import Contract, Predictor


def test_pair_under_another_name(student, tmp_path):
    to_litert(student, tmp_path / "modes" / "float32.tflite")
    copy_model(tmp_path / "modes" / "float32.tflite", tmp_path / "s.tflite")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["modes", "s.json", "s.tflite"]
    assert Contract.load(tmp_path / "s.tflite").file == "s.tflite"
    assert Predictor(tmp_path / "s.tflite").check() == 1.0


def test_what_is_there_stays_if_the_source_is_no_pair(student, tmp_path):
    to_litert(student, tmp_path / "a.tflite")
    to_litert(student, tmp_path / "b.tflite")
    (tmp_path / "a.json").unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ContractError, match="expected its contract"):
        copy_model(tmp_path / "a.tflite", tmp_path / "b.tflite")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
