"""The JSON beside a model: round trip, and strict reading."""

import base64
import copy
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest

from tfkd.errors import ContractError
from tfkd.inference import (
    QUANTIZATIONS,
    SCHEMA_VERSION,
    Contract,
    Postprocessing,
    contract_path,
)


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


def _deflated(content):
    return base64.b64encode(zlib.compress(content)).decode()


def _put(value, *path):
    def change(record):
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_put(3, "schema_version"), "version 1 to 2, received 3.*newer tfkd: upgrade"),
        (_put(0, "schema_version"), "version 1 to 2, received 0.*Export the model again"),
        (_put("1", "schema_version"), "version 1 to 2, received '1'"),
        (_put(True, "schema_version"), "version 1 to 2, received True"),
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
        (_put({"fill_holes": []}, "postprocessing"), r"missing \['largest_component'\]"),
        (_put(["soft"], "postprocessing"), "'postprocessing': expected an object"),
        (_put({"largest_component": "soft", "fill_holes": []}, "postprocessing"), "expected list"),
        (
            _put({"largest_component": ["liver"], "fill_holes": []}, "postprocessing"),
            r"student\.json: .*'largest_component': expected foreground labels of .*\['liver'\]",
        ),
        (
            _put({"largest_component": [], "fill_holes": ["background"]}, "postprocessing"),
            "'fill_holes': expected foreground labels",
        ),
        (
            _put({"largest_component": [], "fill_holes": ["soft", "soft"]}, "postprocessing"),
            "each once",
        ),
        (_put("@@", "golden", "mask"), "'golden', key 'mask': expected uint8"),
        (_put("AAAA", "golden", "image_hu"), "'image_hu': expected int16 of shape"),
        (_put([16, 16, 1], "golden", "shape"), "'golden', key"),
        (_put([32, 32], "golden", "shape"), r"'shape' \(H, W, C\)"),
        (_put(0, "golden", "logits_stride"), "positive 'logits_stride'"),
        (_put([], "golden"), "'golden': expected an object"),
        (_put(-1.0, "golden", "logits_tolerance"), "'golden': .*'logits_tolerance' of at least 0"),
        (_put(float("nan"), "golden", "logits_tolerance"), "'golden': .*received nan"),
        (_put(float("inf"), "golden", "logits_tolerance"), "'golden': .*received inf"),
        (_put(10**400, "golden", "logits_tolerance"), "'golden': .*finite"),
        (_put(0, "golden", "min_agreement"), r"'golden': .*'min_agreement' in \(0, 1\]"),
        (_put(1.5, "golden", "min_agreement"), r"'golden': .*and 1\.5"),
        (_put([2**20, 2**20, 1], "golden", "shape"), "'image_hu': .*asks for 2199023255552 bytes"),
        (_put(_deflated(bytes(2**20)), "golden", "mask"), "'mask': .*received more than 1024"),
        (_put(_deflated(bytes(1000)), "golden", "mask"), "'mask': .*1024 bytes.*received 1000"),
        (_put(_deflated(bytes(1024))[:-8], "golden", "mask"), "'mask': expected uint8"),
        (_put(["a", "b", "b"], "label_names"), "each of 'label_names' once"),
    ],
)
def test_strict_reading(record, change, message):
    spoiled = copy.deepcopy(record)
    change(spoiled)
    with pytest.raises(ContractError, match=message):
        Contract.from_dict(spoiled, "student.json")


@pytest.mark.parametrize("text", ["", "{", "\xff", "[1, 2]", "[" * 10**5])
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


def test_postprocessing_stands_there_only_if_there_is_some(record):
    assert "postprocessing" not in record
    assert not Contract.from_dict(record).postprocessing
    record["postprocessing"] = {"largest_component": ["soft"], "fill_holes": ["bright", "soft"]}
    contract = Contract.from_dict(record)
    assert contract.postprocessing == Postprocessing(("soft",), ("bright", "soft"))
    assert contract.to_dict() == record
    empty = replace(contract, postprocessing=Postprocessing())
    assert "postprocessing" not in empty.to_dict()


@pytest.mark.parametrize("quantization", [*QUANTIZATIONS, "int8_mixed"])
def test_every_quantization_is_read(record, quantization):
    record["quantization"] = quantization
    assert Contract.from_dict(record).to_dict() == record


# As version 1 wrote it, of a made-up model of 2 x 2 pixels; never to be changed.
VERSION_1 = """
{
  "schema_version": 1,
  "file": "student.tflite",
  "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
  "size_bytes": 4,
  "quantization": "int8",
  "label_names": ["background", "liver"],
  "threshold": 0.4,
  "spec": {
    "window_hu": [-60.0, 140.0],
    "output_range": [-1.0, 1.0],
    "size": [2, 2],
    "fit": "center",
    "spacing_mm": null,
    "context_slices": 0,
    "field_size": [4, 4]
  },
  "input": {
    "name": "image", "shape": [1, 2, 2, 1], "dtype": "int8", "scale": 0.0078125, "zero_point": 0
  },
  "output": {
    "name": "logits", "shape": [1, 2, 2, 2], "dtype": "int8", "scale": 0.25, "zero_point": -3
  },
  "created_by": {"tfkd": "0.1.0"},
  "golden": {
    "shape": [2, 2, 1],
    "min_agreement": 0.99,
    "logits_stride": 2,
    "logits_tolerance": 0.5,
    "image_hu": "eNqT+KPBYMOwhwkACwYCNw==",
    "mask": "eNpjZGBgAAAACAAC",
    "logits": "eNpjYACBBnsAAUcAwA=="
  }
}
"""


def test_version_1_is_read_and_becomes_one_of_this_version():
    record = json.loads(VERSION_1)
    contract = Contract.from_dict(record, "student.json")
    assert contract.schema_version == SCHEMA_VERSION == 2
    assert contract.threshold == 0.4
    assert contract.spec.field_size == (4, 4)
    assert not contract.postprocessing
    np.testing.assert_array_equal(contract.golden.image_hu[..., 0], [[-1000, 40], [60, 700]])
    np.testing.assert_array_equal(contract.golden.mask, [[1, 0], [0, 0]])
    np.testing.assert_array_equal(contract.golden.logits, [[[0.0, 1.0]]])
    upgraded = {**record, "schema_version": 2}
    assert contract.to_dict() == upgraded
    assert Contract.from_dict(upgraded).to_dict() == upgraded


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_put({"largest_component": [], "fill_holes": []}, "postprocessing"), "unknown"),
        (_put("int16x8", "quantization"), "quantization of .*received 'int16x8'"),
    ],
)
def test_version_1_never_held_what_came_later(change, message):
    record = json.loads(VERSION_1)
    change(record)
    with pytest.raises(ContractError, match=message):
        Contract.from_dict(record, "student.json")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_know(model_path, record, text):
    record["golden"]["min_agreement"] = "@"
    content = json.dumps(record).replace('"@"', text)
    contract_path(model_path).write_text(content)
    with pytest.raises(ContractError, match=rf"unreadable \({text} is no JSON number\)"):
        Contract.load(model_path)
