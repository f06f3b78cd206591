"""What may crash the converter is converted in a process of its own."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tfkd.errors import ExportError
from tfkd.export import convert_in_child as module
from tfkd.export import preflight, to_litert
from tfkd.export.convert_in_child import convert_in_child, crashing_layers, risky_layers
from tfkd.models import ENet
from tfkd.volumes import PreprocessSpec

SPEC = PreprocessSpec(size=(32, 32))


class Own(layers.Layer):
    def call(self, x):
        return 2 * x


def recurrent() -> keras.Model:
    image = keras.Input((32, 32, 1))
    x = layers.Reshape((1, 32, 32, 1))(image)
    x = layers.ConvLSTM2D(2, 3, padding="same", name="memory")(x)
    return keras.Model(image, layers.Conv2D(3, 1)(x), name="recurrent")


def worker(text: str) -> tuple[str, ...]:
    """A process that does what the text says with `folder` in place of converting."""
    code = f"import os, pathlib, signal, sys, time; folder = pathlib.Path(sys.argv[1]); {text}"
    return (sys.executable, "-c", code)


def test_which_layers_are_risky():
    assert risky_layers(ENet((32, 32, 1), width=0.25)) == []
    assert risky_layers(recurrent()) == ["'memory' (ConvLSTM2D)"]
    image = keras.Input((32, 32, 1))
    nested = keras.Sequential([keras.Input((32, 32, 1)), Own(name="mine")], name="inner")
    own = keras.Model(image, nested(image))
    assert risky_layers(own) == ["'mine' (Own)"]
    assert crashing_layers(own) == []
    (looped,) = keras.ops.while_loop(lambda x: keras.ops.max(x) < 9, lambda x: (2 * x,), (image,))
    assert "WhileLoop" in crashing_layers(keras.Model(image, looped))[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"which crashed \(SIGSEGV\)"),
        ("os.abort()", r"which crashed \(SIGABRT\)"),
        ("time.sleep(60)", r"gave no file within 1 s"),
    ],
)
def test_a_child_that_gives_no_file(text, said, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LIMIT_S", 1.0)
    with pytest.raises(ExportError, match=rf"'s' as int8.*{said}.*'a' \(A\), 'b' \(B\)\. Export"):
        convert_in_child(str(tmp_path), "int8", None, "s", ["'a' (A)", "'b' (B)"], worker(text))


def test_a_child_that_could_not_begin_blames_no_layer(tmp_path):
    for text, said in (("sys.exit('no module')", "status 1 and none: no module"), ("", "status 0")):
        with pytest.raises(ExportError, match=said) as error:
            convert_in_child(str(tmp_path), "int8", None, "s", ["'a' (A)"], worker(text))
        assert "'a'" not in str(error.value)


def test_what_a_child_gives(tmp_path):
    made = worker("(folder / 'converted.tflite').write_bytes(b'file')")
    assert convert_in_child(str(tmp_path), "int8", np.zeros(1), "s", ["a"], made) == b"file"
    refused = worker("(folder / 'error.txt').write_text('no kernel')")
    with pytest.raises(RuntimeError, match="no kernel"):
        convert_in_child(str(tmp_path), "int8", None, "s", ["a"], refused)


def test_a_recurrent_student_crashes_nothing(tmp_path):
    """The converter itself: ConvLSTM2D ends its process in int8, and is fine in float32."""
    student = recurrent()
    noise = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 1)).astype("float32")
    path = tmp_path / "s.tflite"
    with pytest.raises(ExportError, match=r"as int8.*crashed \(SIG\w+\).*'memory' \(ConvLSTM2D\)"):
        to_litert(student, path, quantization="int8", calibration=noise, spec=SPEC)
    assert not any(tmp_path.iterdir())
    to_litert(student, path, spec=SPEC)


def test_preflight_says_so(monkeypatch):
    def crash(*_: object) -> bytes:
        raise ExportError("Student 'recurrent' as int8: expected a file, which ended in a crash")

    monkeypatch.setattr("tfkd.export.convert.convert_in_child", crash)
    found = preflight(recurrent(), runs=1)
    assert found.ok
    assert "int8" not in found.files
    assert "float32" in found.files
    assert any("crash" in warning for warning in found.warnings)


def test_calibration_slices_of_one_grey_value(tmp_path):
    student = ENet((32, 32, 1), width=0.25)
    air = np.full((20, 32, 32, 1), -1, "float32")
    for quantization in ("int8", "float32"):
        with pytest.raises(ExportError, match="20 that are of one grey value, -1, such as air"):
            to_litert(student, tmp_path / "s.tflite", quantization=quantization, calibration=air)
    air[0] = np.random.default_rng(0).uniform(-1, 1, air[0].shape)
    with pytest.warns(UserWarning, match="19 of 20 slices are of one grey value"):
        to_litert(student, tmp_path / "s.tflite", calibration=air)
    assert Path(tmp_path / "s.tflite").exists()
