"""What preflight says of students whose faults are known."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.bench import OperatorTime
from tfkd.errors import ContractError
from tfkd.export import Preflight, preflight
from tfkd.export.preflight import PreflightFile, _slow_int8
from tfkd.models import count_macs


@pytest.fixture(scope="module")
def report(student) -> Preflight:
    before = [np.array(weight) for weight in student.get_weights()]
    steps: list[tuple[int, int, str]] = []
    result = preflight(student, xla=True, runs=3, progress=lambda *step: steps.append(step))
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [step[0] for step in steps] == list(range(len(steps)))
    assert steps[-1][0] == steps[-1][1]
    return result


def test_a_good_student(report, student):
    assert report.ok
    assert (report.name, report.input_shape, report.classes) == ("tissue", (32, 32, 1), 3)
    assert report.macs == count_macs(student)
    # A 3 × 3 × 1 × 4 kernel, gamma and beta, slopes, and a 1 × 1 head with its bias.
    assert report.parameters == 36 + 8 + 4 + 15
    assert report.xla == {"forward": None, "backward": None}
    assert set(report.files) == {"float32", "int8"}


def test_the_files(report):
    floating, integer = report.files["float32"], report.files["int8"]
    assert floating.operators == {"CONV_2D": 2, "PRELU": 1, "RESIZE_BILINEAR": 1}
    # As the export writes it: x + max((α − 1)·x, 0).
    assert integer.operators == {"CONV_2D": 2, "MUL": 1, "ADD": 1, "RESIZE_BILINEAR": 1}
    for one in (floating, integer):
        assert one.size_bytes > 500
        assert one.ms > 0
        assert one.cpu_ms > 0
        assert one.ram_bytes is None or one.ram_bytes > 0
    assert floating.live_bytes == 4 * integer.live_bytes
    assert integer.outside == {}


def test_an_operator_that_int8_is_slow_at():
    image = keras.Input((16, 16, 1))
    steep = keras.layers.PReLU("ones", shared_axes=[1, 2])
    x = steep(keras.layers.Conv2D(4, 3, padding="same")(image))
    student = keras.Model(image, keras.layers.Conv2D(3, 1)(x))
    steep.set_weights([2.0 * np.ones((1, 1, 4), "float32")])  # no sum of x and a maximum
    report = preflight(student, xla=False, runs=1)
    assert report.files["int8"].outside == {"PRELU": 1}
    assert any("PRELU" in text for text in report.warnings)


class _Argmax(keras.layers.Layer):
    """What ENet's unpooling would use."""

    def call(self, x):
        pooled, indices = tf.nn.max_pool_with_argmax(x, 2, 2, "SAME")
        return tf.repeat(tf.repeat(pooled + 0.0 * tf.cast(indices, x.dtype), 2, 1), 2, 2)


def test_what_litert_and_xla_lack_is_named(make_student):
    report = preflight(make_student(middle=_Argmax()), runs=1)
    assert not report.ok
    assert report.files == {}
    assert "MaxPoolWithArgmax" in report.problems[0]
    assert "MaxPoolWithArgmax" in report.xla["forward"]
    assert any("XLA does not compile the forward pass" in text for text in report.warnings)


def test_a_float_island_is_a_warning(make_student):
    report = preflight(make_student(middle=keras.layers.GroupNormalization(2)), runs=1)
    assert report.ok
    assert set(report.files) == {"float32"}
    assert any("SQUARE" in text or "RSQRT" in text for text in report.warnings)


class _Own(keras.layers.Layer):
    """Has weights, and work that cannot be told."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor


def test_unknown_work_is_said_to_be_unknown(make_student):
    report = preflight(make_student(middle=_Own()), runs=1)
    assert report.ok
    assert report.macs is None
    assert any("multiply-accumulates are unknown" in text for text in report.warnings)


def _file(quantization: str, cpu_ms: float, outside: dict[str, int]) -> PreflightFile:
    operators = {"CONV_2D": 4, "PRELU": 3}
    return PreflightFile(quantization, 1, operators, outside, 1, 1, cpu_ms, cpu_ms)


def _times(prelu_ms: float) -> tuple[OperatorTime, ...]:
    return (OperatorTime("CONV_2D", 4, 2.0, 0), OperatorTime("PRELU", 3, prelu_ms, 0))


def test_a_file_that_does_not_run_is_told(make_student, monkeypatch):
    def refuse(job, *, model, **arguments):
        raise ContractError(f"{model}: expected a figure, received an error")

    monkeypatch.setattr(sys.modules["tfkd.export.preflight"], "run_job", refuse)
    report = preflight(make_student(), runs=1)
    assert not report.ok
    assert report.files == {}
    assert report.problems == ("the float32 file: expected a figure, received an error",)
    assert "the int8 file: expected a figure, received an error" in report.warnings


def test_an_operator_that_was_not_timed_is_no_culprit(monkeypatch):
    times = (OperatorTime("CONV_2D", 4, 2.0, 0), OperatorTime("PRELU", 3, None, None))
    module = sys.modules["tfkd.export.preflight"]
    monkeypatch.setattr(module, "time_operators", {"float": times[:1], "int": times}.__getitem__)
    files = {"float32": _file("float32", 3.0, {}), "int8": _file("int8", 9.9, {})}
    (warning,) = _slow_int8(files, {"float32": "float", "int8": "int"})
    assert "int8 takes 3.3 times" in warning
    assert "likely because" not in warning


def test_slow_int8_names_the_operator(monkeypatch):
    times = {"float": _times(0.5), "int": _times(7.5)}
    module = sys.modules["tfkd.export.preflight"]
    monkeypatch.setattr(module, "time_operators", times.__getitem__)
    files = {"float32": _file("float32", 3.0, {}), "int8": _file("int8", 9.9, {"PRELU": 3})}
    without_kernel, warning = _slow_int8(files, {"float32": "float", "int8": "int"})
    assert "XNNPACK leaves 3 PRELU to LiteRT's own kernels" in without_kernel
    assert "use ReLU" in without_kernel
    assert "int8 takes 3.3 times as long as float32, 9.9 against 3.0 ms" in warning
    assert "likely because of PRELU (3 of them, +7.0 ms alone)" in warning
    assert "CONV_2D" not in warning


def test_fast_int8_is_no_warning():
    files = {"float32": _file("float32", 3.0, {}), "int8": _file("int8", 1.0, {})}
    assert _slow_int8(files, {}) == []
    files["int8"] = _file("int8", 1.0, {"PRELU": 3})
    (warning,) = _slow_int8(files, {})
    assert "XNNPACK leaves 3 PRELU to LiteRT's own kernels" in warning


def test_wrong_arguments(student):
    with pytest.raises(TypeError, match=r"keras\.Model\. Received str"):
        preflight("student.keras")
    with pytest.raises(ValueError, match="expected at least 1 each"):
        preflight(student, threads=0)
    fully = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(ValueError, match="fixed size"):
        preflight(fully)
