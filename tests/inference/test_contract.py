"""The JSON beside a model: round trip, and strict reading."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from tfkd.errors import ContractError
from tfkd.inference import SCHEMA_VERSION, Contract, contract_path


@pytest.fixture
def record(model_path):
    return json.loads(contract_path(model_path).read_text())


def test_round_trip(model_path, record, tmp_path):
    contract = Contract.load(model_path)
    assert contract.to_dict() == record
    contract.save(tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_text() == contract_path(model_path).read_text()
    assert contract.golden.image_hu.shape == (32, 32, 1)
    assert contract.golden.logits.shape == (4, 4, 3)
    assert contract.schema_version == SCHEMA_VERSION


def _delete(*path):
    def change(record):
        for key in path[:-1]:
            record = record[key]
        del record[path[-1]]

    return change


def _put(value, *path):
    def change(record):
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_put(2, "schema_version"), "version 1, received 2.*newer tfkd: upgrade"),
        (_put(0, "schema_version"), "version 1, received 0.*Export the model again"),
        (_put("1", "schema_version"), "version 1, received '1'"),
        (_put(True, "schema_version"), "version 1, received True"),
        (_delete("schema_version"), "received None"),
        (_put(1, "windw"), r"received unknown \['windw'\] and missing \[\]"),
        (_delete("label_names"), r"unknown \[\] and missing \['label_names'\]"),
        (_put(1, "spec", "gamma"), r"'spec': .*unknown \['gamma'\]"),
        (_delete("spec", "window_hu"), r"'spec': .*missing \['window_hu'\]"),
        (_put([140.0, -60.0], "spec", "window_hu"), r"'spec': .*window_hu"),
        (_delete("input", "scale"), r"'input': .*missing \['scale'\]"),
        (_put("int4", "output", "dtype"), "'output': expected shape"),
        (_put(0.1, "input", "scale"), "'input': expected shape"),
        (_put([1, 32, 32], "input", "shape"), "'input': expected shape"),
        (_put("12", "size_bytes"), "'size_bytes': expected int, received '12'"),
        (_put(True, "size_bytes"), "'size_bytes': expected int, received True"),
        (_put(["a", "b"], "label_names"), "'golden'"),
        (_put(["a", "b", 3], "label_names"), "label names"),
        (_put([64, 64], "spec", "size"), r"from 'spec'.*\(1, 64, 64, 1\)"),
        (_put("int4", "quantization"), "quantization of .*received 'int4'"),
        (_put("@@", "golden", "mask"), "'golden', key 'mask': expected uint8"),
        (_put("AAAA", "golden", "image_hu"), "'image_hu': expected int16 of shape"),
        (_put([16, 16, 1], "golden", "shape"), "'golden', key"),
        (_put([32, 32], "golden", "shape"), r"'shape' \(H, W, C\)"),
        (_put(0, "golden", "logits_stride"), "positive 'logits_stride'"),
        (_put([], "golden"), "'golden': expected an object"),
    ],
)
def test_strict_reading(record, change, message):
    spoiled = copy.deepcopy(record)
    change(spoiled)
    with pytest.raises(ContractError, match=message):
        Contract.from_dict(spoiled, "student.json")


@pytest.mark.parametrize("text", ["", "{", "\xff", "[1, 2]"])
def test_not_a_contract(model_path, text):
    contract_path(model_path).write_text(text, "latin-1")
    with pytest.raises(ContractError, match=r"student\.json"):
        Contract.load(model_path)


def test_golden_difference(model_path):
    golden = Contract.load(model_path).golden
    logits = np.zeros((32, 32, 3), np.float32)
    logits[::8, ::8] = golden.logits + 0.25
    agreement, difference = golden.difference(logits)
    assert difference == pytest.approx(0.25)
    assert agreement == np.mean(logits.argmax(-1) == golden.mask)
    logits[0, 0, 0] = np.nan
    assert golden.difference(logits)[1] == float("inf")


def _of_two_classes(record):
    contract = Contract.from_dict(record)
    golden = contract.golden
    return replace(
        contract,
        label_names=contract.label_names[:2],
        output=replace(contract.output, shape=(*contract.output.shape[:3], 2)),
        golden=replace(golden, mask=np.minimum(golden.mask, 1), logits=golden.logits[..., :2]),
    ).to_dict()


def test_a_threshold_stands_there_only_if_there_is_one(record):
    assert "threshold" not in record
    assert Contract.from_dict(record).threshold is None
    binary = {**_of_two_classes(record), "threshold": 0.4}
    assert Contract.from_dict(binary).threshold == 0.4
    assert Contract.from_dict(binary).to_dict() == binary
    for wrong in ("low", 1.5, 0, True):
        with pytest.raises(ContractError, match="threshold"):
            Contract.from_dict({**binary, "threshold": wrong})
    with pytest.raises(ContractError, match="threshold between 0 and 1, for a model of two"):
        Contract.from_dict({**record, "threshold": 0.4})


def test_a_field_size_stands_there_only_if_there_is_one(record):
    assert "field_size" not in record["spec"]
    record["spec"] |= {"fit": "center", "field_size": [48, 48]}
    assert Contract.from_dict(record).spec.field_size == (48, 48)
    assert Contract.from_dict(record).to_dict() == record
