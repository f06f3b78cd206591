"""The thin layer over the interpreter."""

import sys
import threading
import time

import numpy as np
import pytest

from tfkd.errors import ContractError
from tfkd.inference import LiteRTModel
from tfkd.inference import runtime as runtime_module


def _v(*values):
    return np.broadcast_to(
        np.array(values, np.float32)[:, None, None, None], (len(values), 32, 32, 1)
    )


def test_float32_by_hand(exported):
    logits = LiteRTModel(exported / "float32.tflite")(_v(-1.0, 0.5))
    np.testing.assert_allclose(logits[0, 3, 4], [0, -3, -17], atol=1e-5)
    np.testing.assert_allclose(logits[1, 9, 9], [0, 3, 1], atol=1e-5)


def test_int8_rounds_and_clips(exported):
    model = LiteRTModel(exported / "int8.tflite", threads=1)
    assert (model.input.dtype, model.output.dtype) == ("int8", "int8")
    assert model.input.scale == pytest.approx(2 / 255, rel=0.01)
    logits = model(_v(-1.0, 0.5, 1.0, 9.0))
    step = model.output.scale
    np.testing.assert_allclose(logits[0, 0, 0], [0, -3, -17], atol=2 * step)
    np.testing.assert_allclose(logits[1, 0, 0], [0, 3, 1], atol=2 * step)
    np.testing.assert_array_equal(logits[2], logits[3])  # beyond the range is the range's end


def test_wrong_shape(exported):
    with pytest.raises(ValueError, match=r"\(N, 32, 32, 1\), received \(1, 16, 16, 1\)"):
        LiteRTModel(exported / "float32.tflite")(np.zeros((1, 16, 16, 1)))


def test_not_a_model(tmp_path):
    path = tmp_path / "student.tflite"
    path.write_bytes(b"something else entirely")
    with pytest.raises(ContractError, match=r"student\.tflite: expected a model"):
        LiteRTModel(path)


def test_without_litert(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        LiteRTModel(exported / "float32.tflite")


@pytest.mark.parametrize("quantization", ["float32", "int8"])
@pytest.mark.parametrize("threads", [2, 3, 20])
def test_several_at_once_are_as_one_by_one(exported, quantization, threads):
    path = exported / f"{quantization}.tflite"
    images = np.random.default_rng(0).uniform(-1, 1, (11, 32, 32, 1)).astype(np.float32)
    model = LiteRTModel(path, threads)
    assert model.workers == min(threads, 8)
    expected = LiteRTModel(path, 1)(images)
    for _ in range(2):
        np.testing.assert_array_equal(model(images), expected)
    np.testing.assert_array_equal(model(images[3:4]), expected[3:4])


@pytest.mark.parametrize(("budget", "workers"), [(3, 3), (1.5, 1), (0.5, 1), (100, 8)])
def test_a_batch_has_bounded_memory(exported, monkeypatch, budget, workers):
    monkeypatch.setattr(runtime_module, "_BATCH_BYTES", int(budget * 32 * 32 * 3 * 4))
    model = LiteRTModel(exported / "float32.tflite", threads=8)
    assert model.workers == workers
    np.testing.assert_allclose(model(_v(*[0.5] * 4))[:, 9, 9], [[0, 3, 1]] * 4, atol=1e-5)


def test_calls_from_two_threads_take_turns(exported, monkeypatch):
    model = LiteRTModel(exported / "float32.tflite", threads=1)
    run, inside, most = model._run, [], []

    def watched(interpreter, image):
        inside.append(image)
        most.append(len(inside))
        time.sleep(0.02)
        logits = run(interpreter, image)
        inside.pop()
        return logits

    monkeypatch.setattr(model, "_run", watched)
    results = {}

    def call(value):
        results[value] = model(_v(value, value))

    threads = [threading.Thread(target=call, args=(value,)) for value in (-1.0, 0.5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    np.testing.assert_allclose(results[-1.0][:, 3, 4], [[0, -3, -17]] * 2, atol=1e-5)
    np.testing.assert_allclose(results[0.5][:, 3, 4], [[0, 3, 1]] * 2, atol=1e-5)
