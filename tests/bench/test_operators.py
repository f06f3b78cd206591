"""What a file is made of, against networks whose operators are known."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.bench import read_operators, time_operators
from tfkd.bench.operators import operator_name, parse_model
from tfkd.errors import ContractError
from tfkd.export import to_litert
from tfkd.inference import LiteRTModel


@pytest.fixture(scope="session")
def prelu_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions, PReLU and a transposed convolution, in three number formats."""
    folder = tmp_path_factory.mktemp("prelu")
    image = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    # Slopes above 1, or the export would write it as other operators in int8.
    x = keras.layers.PReLU(keras.initializers.Constant(2.0), shared_axes=[1, 2])(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same", use_bias=False)(x)
    student = keras.Model(image, keras.layers.Conv2D(3, 1)(x))
    noise = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 1)).astype(np.float32)
    for quantization in ("float32", "float16", "int8"):
        path = folder / f"{quantization}.tflite"
        to_litert(student, path, quantization=quantization, calibration=noise, min_agreement=0.0)
    return folder


def test_counts_and_memory_by_hand(exported):
    operators = read_operators(exported / "float32.tflite")
    assert operators.counts == {"CONV_2D": 1}
    assert operators.outside == {}
    assert operators.live_bytes == 32 * 32 * (1 + 3) * 4
    assert read_operators(exported / "int8.tflite").live_bytes == 32 * 32 * (1 + 3)


def test_an_activation_lives_until_its_last_use(prelu_files):
    # Largest where PReLU reads 32² × 4 and writes as much; input and logits lie elsewhere in time.
    live = {"float32": 2 * 32 * 32 * 4 * 4, "int8": 2 * 32 * 32 * 4}
    for quantization, expected in live.items():
        operators = read_operators(prelu_files / f"{quantization}.tflite")
        assert operators.live_bytes == expected


def test_what_xnnpack_leaves_is_named(prelu_files):
    expected = {"CONV_2D": 2, "PRELU": 1, "MAX_POOL_2D": 1, "TRANSPOSE_CONV": 1}
    floating = read_operators(prelu_files / "float32.tflite")
    integer = read_operators(prelu_files / "int8.tflite")
    assert {name: floating.counts[name] for name in expected} == expected
    assert floating.outside == {}
    assert integer.outside == {"PRELU": 1}


def test_without_the_list_of_operators_it_is_unknown(exported, monkeypatch):
    from ai_edge_litert.interpreter import Interpreter

    monkeypatch.delattr(Interpreter, "_get_ops_details")
    assert read_operators(exported / "float32.tflite").outside is None
    assert time_operators(exported / "float32.tflite")[0].outside is None


@pytest.mark.parametrize("quantization", ["float32", "float16", "int8"])
def test_each_operator_is_timed(prelu_files, quantization):
    path = prelu_files / f"{quantization}.tflite"
    steps = []
    times = time_operators(path, progress=lambda *step: steps.append(step))
    counts = {one.name: one.count for one in times}
    assert counts == {"CONV_2D": 2, "PRELU": 1, "MAX_POOL_2D": 1, "TRANSPOSE_CONV": 1}
    assert all(one.ms > 0 for one in times)
    assert [one.ms for one in times] == sorted((one.ms for one in times), reverse=True)
    assert {one.name for one in times if one.outside} == (
        {"PRELU"} if quantization == "int8" else set()
    )
    assert steps[-1] == (5, 5, "")


def test_an_operator_that_cannot_run_alone_is_not_timed(prelu_files, monkeypatch):
    from tfkd.bench import operator_times

    alone = operator_times._alone

    def refuse(model, step, folded):
        if operator_name(model, model.subgraphs[0].operators[step]) == "PRELU":
            raise RuntimeError("needs its neighbours")
        return alone(model, step, folded)

    monkeypatch.setattr(operator_times, "_alone", refuse)
    times = time_operators(prelu_files / "float32.tflite")
    assert {one.name for one in times} == {"CONV_2D", "PRELU", "MAX_POOL_2D", "TRANSPOSE_CONV"}
    assert (times[-1].name, times[-1].count) == ("PRELU", 1)
    assert (times[-1].ms, times[-1].outside) == (None, None)
    assert all(one.ms > 0 for one in times[:-1])


def test_indices_are_valid_ones(tmp_path):
    """Noise would point outside of the four rows."""

    @tf.function(input_signature=[tf.TensorSpec((4, 2)), tf.TensorSpec((3,), tf.int32)])
    def gather(rows, indices):
        return tf.gather(rows, indices)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([gather.get_concrete_function()])
    (tmp_path / "gather.tflite").write_bytes(converter.convert())
    times = time_operators(tmp_path / "gather.tflite")
    assert "GATHER" in [one.name for one in times]
    assert all(one.ms is not None for one in times)


def test_one_operator_alone_computes_what_the_file_does(exported, tmp_path):
    from tfkd.bench.operator_times import _alone

    path = exported / "float32.tflite"
    content = _alone(parse_model(path), 0, {})
    from ai_edge_litert.interpreter import Interpreter

    alone = Interpreter(model_content=content)
    alone.allocate_tensors()
    (given,), (made,) = alone.get_input_details(), alone.get_output_details()
    image = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 1)).astype(np.float32)
    alone.set_tensor(given["index"], image)
    alone.invoke()
    np.testing.assert_array_equal(alone.get_tensor(made["index"]), LiteRTModel(path)(image))


def test_names(exported):
    model = parse_model(exported / "int8.tflite")
    assert operator_name(model, model.subgraphs[0].operators[0]) == "CONV_2D"


@pytest.mark.parametrize("content", [b"", b"something else entirely", b"....TFL3" + bytes(40)])
def test_not_a_model(tmp_path, content):
    path = tmp_path / "student.tflite"
    path.write_bytes(content)
    for read in (read_operators, time_operators):
        with pytest.raises(ContractError, match=r"student\.tflite: expected"):
            read(path)
