"""File and contract together: masks, the golden slice, and every way they can fail to match."""

import dataclasses
import json

import numpy as np
import pytest

from tfkd.errors import ContractError
from tfkd.inference import Contract, Predictor, VolumePredictor, contract_path


def _logits_by_hand(images):
    v = images[..., 0]
    return np.stack([0 * v, 4 * v + 1, 12 * v - 5], axis=-1)


def _edit(model_path, change):
    path = contract_path(model_path)
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(("quantization", "share"), [("float32", 1.0), ("int8", 0.99)])
def test_volume_as_by_hand(exported, make_ct, quantization, share):
    predictor = Predictor(exported / f"{quantization}.tflite", threads=1)
    by_hand = VolumePredictor(_logits_by_hand, predictor.spec, predictor.label_names)
    ct = make_ct()
    expected, received = by_hand(ct), predictor(ct)
    assert np.mean(expected.array == received.array) >= share
    assert received.array.dtype == np.uint8
    assert set(np.unique(received.array)) == {0, 1, 2}
    np.testing.assert_array_equal(received.affine, ct.affine)


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_check_passes_here(exported, quantization):
    assert Predictor(exported / f"{quantization}.tflite").check() == 1.0


def test_check_notices_wrong_labels_and_wrong_logits(model_path):
    predictor = Predictor(model_path)
    golden = predictor.contract.golden
    upside_down = dataclasses.replace(golden, mask=np.ascontiguousarray(golden.mask[::-1]))
    scaled = dataclasses.replace(golden, logits=golden.logits * np.float32(1.1))
    for spoiled in (upside_down, scaled):
        predictor.contract = dataclasses.replace(predictor.contract, golden=spoiled)
        with pytest.raises(ContractError, match=r"golden slice.*received.*ai-edge-litert"):
            predictor.check()


def test_model_without_contract(model_path):
    contract_path(model_path).unlink()
    with pytest.raises(ContractError, match=r"student\.tflite.*contract student\.json.*export"):
        Predictor(model_path)


def test_contract_without_model(model_path):
    model_path.unlink()
    with pytest.raises(ContractError, match=r"expected a \.tflite model file, found none"):
        Predictor(model_path)


def test_hash_mismatch(model_path):
    model_path.write_bytes(model_path.read_bytes() + b"\0")
    with pytest.raises(ContractError, match=r"expected SHA-256 [0-9a-f]{64}.*do not belong"):
        Predictor(model_path)


def test_edited_tensor(exported, tmp_path):
    path = tmp_path / "int8.tflite"
    for suffix in (".tflite", ".json"):
        path.with_suffix(suffix).write_bytes((exported / f"int8{suffix}").read_bytes())
    _edit(path, lambda record: record["input"].update(scale=0.5))
    with pytest.raises(ContractError, match=r"expected the input .*scale=0\.5.*received"):
        Predictor(path)


def test_renamed_pair_still_works(model_path):
    model_path.rename(model_path.with_name("other.tflite"))
    contract_path(model_path).rename(model_path.with_name("other.json"))
    assert Predictor(model_path.with_name("other.tflite")).contract.file == "float32.tflite"


def test_path_may_be_text(model_path):
    assert Predictor(str(model_path)).contract.to_dict() == Contract.load(model_path).to_dict()


def test_no_threads(model_path):
    with pytest.raises(ValueError, match="threads: expected None or at least 1, received 0"):
        Predictor(model_path, threads=0)


def test_check_takes_the_slice_without_its_mirror_image(model_path):
    predictor = Predictor(model_path, flips=True)
    bare = predictor._model
    images = []
    predictor._model = lambda batch: images.append(batch) or bare(batch)
    assert predictor.check() == 1.0
    assert [len(batch) for batch in images] == [1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_check_reports_logits_that_are_not_finite(model_path, value):
    predictor = Predictor(model_path)
    bare = predictor._model

    def broken(images):
        logits = bare(images)
        logits[0, 1, 1, 0] = value  # not among the sampled ones
        return logits

    predictor._model = broken
    with pytest.raises(ContractError, match=r"golden slice.*and inf\. The runtime"):
        predictor.check()
