"""The example for people who will not take our package says what `Predictor` says."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd.export import to_litert
from tfkd.inference import Predictor, contract_path
from tfkd.volumes import PreprocessSpec, Volume, canonical_affine

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "standalone_predict.py"


def _example():
    spec = importlib.util.spec_from_file_location("standalone_predict", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _slices(make_ct) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 40, (5, 32, 32))
    return np.rint(make_ct((5, 32, 32)).array + noise).astype(np.int16)


def _expected(model: Path, slices: np.ndarray) -> np.ndarray:
    volume = Volume(slices, canonical_affine((3.0, 0.8, 0.8)), "case")
    return Predictor(model, threads=1)(volume).array


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_as_the_predictor(exported, make_ct, tmp_path, quantization):
    model = exported / f"{quantization}.tflite"
    np.save(tmp_path / "slices.npy", _slices(make_ct))
    words = [sys.executable, EXAMPLE, model, tmp_path / "slices.npy", tmp_path / "mask.npy"]
    subprocess.run(words, check=True, capture_output=True)
    mask = np.load(tmp_path / "mask.npy")
    np.testing.assert_array_equal(mask, _expected(model, _slices(make_ct)))
    assert set(np.unique(mask)) == {0, 1, 2}


def test_neighbours_and_a_threshold(make_ct, tmp_path):
    image = keras.Input((32, 32, 3))
    student = keras.Model(image, keras.layers.Conv2D(2, 1)(image), name="neighbours")
    kernel = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 4.0]]).reshape(1, 1, 3, 2)
    student.set_weights([kernel, np.array([0.0, 0.3])])
    spec = PreprocessSpec(size=(32, 32), context_slices=1)
    to_litert(
        student,
        tmp_path / "s.tflite",
        spec=spec,
        label_names=("background", "organ"),
        threshold=0.2,
    )
    mask = _example().predict(tmp_path / "s.tflite", _slices(make_ct))
    np.testing.assert_array_equal(mask, _expected(tmp_path / "s.tflite", _slices(make_ct)))
    assert 0 < mask.mean() < 1


def test_what_it_cannot_read_is_refused(model_path, make_ct):
    with pytest.raises(SystemExit, match=r"slices of \[32, 32\]\. Received .*\(48, 40\)"):
        _example().predict(model_path, make_ct().array)
    contract = json.loads(contract_path(model_path).read_text())
    contract_path(model_path).write_text(json.dumps({**contract, "schema_version": 3}))
    with pytest.raises(SystemExit, match="Received version 3"):
        _example().predict(model_path, _slices(make_ct))


def test_it_is_short_and_needs_two_packages():
    source = EXAMPLE.read_text("utf-8")
    assert len(source.splitlines()) <= 60
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    assert names - set(sys.stdlib_module_names) == {"numpy", "ai_edge_litert"}
