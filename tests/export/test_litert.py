"""What `to_litert` promises: the file does what Keras does, or there is no file."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tfkd.errors import ExportError
from tfkd.export import keras_logits, litert, to_litert
from tfkd.export.convert import convert, float_operators
from tfkd.export.verify import compare
from tfkd.inference import QUANTIZATIONS, Contract, LiteRTModel, Predictor, contract_path
from tfkd.volumes import PreprocessSpec, sha256_of

NAMES = ("background", "liver", "bone")


def operators(file: Path | bytes) -> set[str]:
    content = file.read_bytes() if isinstance(file, Path) else file
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    return {names[code.builtinCode] for code in model.operatorCodes}


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_file_does_what_keras_does(student, spec, ct_slices, tmp_path, quantization):
    path = tmp_path / "student.tflite"
    result = to_litert(
        student,
        path,
        quantization=quantization,
        calibration=ct_slices,
        spec=spec,
        label_names=NAMES,
    )
    expected = keras_logits(student, 24)(ct_slices)
    received = LiteRTModel(path)(ct_slices)
    agreement = np.mean(expected.argmax(-1) == received.argmax(-1))
    assert set(np.unique(expected.argmax(-1))) == {0, 1, 2}  # the comparison is of something
    assert agreement >= (0.999 if quantization.startswith("float") else 0.99)
    assert result.agreement == pytest.approx(agreement, abs=1e-6)
    assert result.comparison.source == "calibration"
    assert min(result.comparison.label_dice) > 0.97
    assert result.size_bytes == path.stat().st_size


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_contract_beside_the_file(student, spec, ct_slices, tmp_path, quantization):
    path = tmp_path / "s.tflite"
    to_litert(
        student,
        path,
        quantization=quantization,
        calibration=ct_slices,
        spec=spec,
        label_names=NAMES,
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.json", "s.tflite"]
    contract = Contract.load(path)
    dtype = "int8" if quantization == "int8" else "float32"
    assert contract.spec == spec
    assert contract.label_names == NAMES
    assert contract.quantization == quantization
    assert (contract.input.name, contract.output.name) == ("image", "logits")
    assert (contract.input.dtype, contract.output.dtype) == (dtype, dtype)
    assert contract.input.shape == (1, 32, 32, 1)
    assert contract.output.shape == (1, 32, 32, 3)
    assert contract.sha256 == sha256_of(path)
    assert len(np.unique(contract.golden.mask)) == 3
    assert Predictor(path).check() == 1.0


def test_int8_file_has_integer_operators_only(student, ct_slices, tmp_path):
    to_litert(student, tmp_path / "s.tflite", quantization="int8", calibration=ct_slices)
    assert float_operators((tmp_path / "s.tflite").read_bytes()) == []
    to_litert(student, tmp_path / "f.tflite")
    assert "CONV_2D" in float_operators((tmp_path / "f.tflite").read_bytes())


def test_weights_of_the_other_formats_are_small(make_student, ct_slices):
    wide = make_student(middle=keras.layers.Conv2D(4, 17, padding="same"))
    sizes = {name: len(convert(wide, name, ct_slices)) for name in QUANTIZATIONS}
    weights = sizes["float32"] - sizes["float16"]  # half of them
    for name in ("dynamic_int8", "int8", "int16x8"):
        assert sizes["float32"] - sizes[name] > 1.2 * weights


def test_int16x8_leaves_what_has_no_kernel_in_floating_point(student, ct_slices):
    assert float_operators(convert(student, "int16x8", ct_slices)) == ["PRELU"]


@pytest.mark.parametrize("quantization", ["int8", "int16x8"])
def test_faster_operators_take_the_place_of_slow_ones(student, ct_slices, tmp_path, quantization):
    path = tmp_path / "s.tflite"
    result = to_litert(student, path, quantization=quantization, calibration=ct_slices)
    assert result.agreement > 0.99
    assert result.slow_because is None
    assert "PRELU" not in operators(path)
    assert "PRELU" in operators(convert(student, quantization, ct_slices))
    assert float_operators(path.read_bytes()) == []


def test_nothing_to_be_gained_in_floating_point(student, tmp_path):
    to_litert(student, tmp_path / "s.tflite")
    assert "PRELU" in operators(tmp_path / "s.tflite")


def test_a_faster_form_that_agrees_less_gives_way(
    student, make_student, ct_slices, tmp_path, monkeypatch
):
    path = tmp_path / "s.tflite"
    wrong = make_student()
    wrong.get_layer("head").bias.assign([0.0, 0.0, -5.5])
    monkeypatch.setattr(litert, "file_form", lambda *_: wrong)
    for minimum in (None, 0.0):
        result = to_litert(
            student, path, quantization="int8", calibration=ct_slices, min_agreement=minimum
        )
        assert result.agreement > 0.99
        assert result.contract.golden.min_agreement == 0.99
        assert result.slow_because.startswith("with faster ones")
    assert Predictor(path).check() == 1.0


@pytest.mark.parametrize(("gained", "kept"), [(0.005, False), (0.015, True)])
def test_slower_operators_have_to_be_worth_it(
    student, ct_slices, tmp_path, monkeypatch, gained, kept
):
    """In a file that agrees less than the format's files should; with numbers, for the user."""
    agreements = iter([0.9, 0.9 + gained])
    monkeypatch.setattr(
        litert, "compare", lambda *_: replace(compare(*_), agreement=next(agreements))
    )
    path = tmp_path / "s.tflite"
    result = to_litert(student, path, quantization="int8", calibration=ct_slices, min_agreement=0.5)
    assert ("PRELU" in operators(path)) is kept
    assert bool(result.slow_because) is kept
    if kept:
        assert "90.00% of the labels" in result.slow_because
        assert "91.50%" in result.slow_because


def test_both_forms_fail(student, ct_slices, tmp_path, monkeypatch):
    path = tmp_path / "s.tflite"
    to_litert(student, path, quantization="int8", calibration=ct_slices)
    before = path.read_bytes()
    monkeypatch.setattr(litert, "compare", lambda *_: replace(compare(*_), agreement=0.5))
    with pytest.raises(ExportError, match=r"Nor with faster operators: .*0\.5000"):
        to_litert(student, path, quantization="int8", calibration=ct_slices)
    assert path.read_bytes() == before


def test_without_spec_labels_and_slices(make_student, tmp_path):
    result = to_litert(make_student(channels=3), tmp_path / "s.tflite")
    assert result.contract.spec == PreprocessSpec(size=(32, 32), context_slices=1)
    assert result.contract.label_names == ("background", "label_1", "label_2")
    assert result.comparison.source == "synthetic"


def test_student_is_left_as_it_was(student, ct_slices, tmp_path):
    before = [np.array(weight) for weight in student.get_weights()]
    to_litert(student, tmp_path / "s.tflite", quantization="int8", calibration=ct_slices)
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert student.input.name == "ct"


def test_dataset_as_calibration(student, ct_slices, tmp_path):
    masks = keras_logits(student, 24)(ct_slices).argmax(-1).astype(np.int32)
    dataset = tf.data.Dataset.from_tensor_slices((ct_slices, masks)).repeat().batch(4)
    result = to_litert(
        student,
        tmp_path / "s.tflite",
        quantization="int8",
        calibration=dataset,
        calibration_slices=8,
    )
    assert result.comparison.slices == 8


def test_student_with_lists_of_one(student, tmp_path):
    listed = keras.Model([student.input], [student.output])
    assert to_litert(listed, tmp_path / "s.tflite").contract.output.shape == (1, 32, 32, 3)


def test_mixed_precision_student(make_student, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        student = make_student()
    finally:
        keras.config.set_dtype_policy("float32")
    assert student.get_layer("stem").compute_dtype == "float16"
    # float16 arithmetic on the Keras side, so some pixels on a border may differ
    result = to_litert(student, tmp_path / "s.tflite", min_agreement=0.99)
    assert result.contract.output.dtype == "float32"
    assert student.get_layer("stem").compute_dtype == "float16"


def test_prints_nothing(student, tmp_path, capfd):
    to_litert(student, tmp_path / "s.tflite")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Saved artifact" not in captured.err


class _Argmax(keras.layers.Layer):
    """What ENet's unpooling would use."""

    def call(self, x):
        pooled, indices = tf.nn.max_pool_with_argmax(x, 2, 2, "SAME")
        return tf.repeat(tf.repeat(pooled + 0.0 * tf.cast(indices, x.dtype), 2, 1), 2, 2)


def test_flex_operator_is_named(make_student, tmp_path):
    student = make_student(middle=_Argmax())
    with pytest.raises(ExportError, match="MaxPoolWithArgmax"):
        to_litert(student, tmp_path / "s.tflite")
    assert list(tmp_path.iterdir()) == []


def test_float_island_is_named(make_student, ct_slices, tmp_path):
    student = make_student(middle=keras.layers.GroupNormalization(2))
    with pytest.raises(ExportError, match=r"integer operators only.*SQUARE"):
        to_litert(student, tmp_path / "s.tflite", quantization="int8", calibration=ct_slices)
    assert list(tmp_path.iterdir()) == []


def test_wrong_file_is_refused_with_figures_and_old_pair_stays(
    student, make_student, ct_slices, tmp_path, monkeypatch
):
    path = tmp_path / "s.tflite"
    to_litert(student, path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    other = make_student()
    other.get_layer("head").bias.assign([1.0, 0.0, 0.0])
    monkeypatch.setattr(litert, "convert", lambda _, *others: convert(other, *others))
    message = r"at least 0\.9990 .* received 0\.\d+ .*24 calibration slices \(Dice"
    with pytest.raises(ExportError, match=message):
        to_litert(student, path, calibration=ct_slices)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_min_agreement_sets_another_limit(student, make_student, ct_slices, tmp_path, monkeypatch):
    other = make_student()
    other.get_layer("head").bias.assign([0.01, 0.0, -4.8])
    monkeypatch.setattr(litert, "convert", lambda _, *others: convert(other, *others))
    with pytest.raises(ExportError, match=r"at least 0\.9990"):
        to_litert(student, tmp_path / "s.tflite", calibration=ct_slices)
    result = to_litert(student, tmp_path / "s.tflite", calibration=ct_slices, min_agreement=0.95)
    assert 0.95 < result.agreement < 0.999
    other.get_layer("head").bias.assign([0.0, 9.0, 0.0])
    result = to_litert(student, tmp_path / "s.tflite", calibration=ct_slices, min_agreement=0)
    assert result.agreement < 0.5
    assert result.contract.golden.min_agreement == 0.999  # of the file with itself


def test_non_finite_student(make_student, tmp_path):
    student = make_student()
    student.get_layer("head").bias.assign([np.nan, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"expected finite weights.*head/bias"):
        to_litert(student, tmp_path / "s.tflite")
    student.get_layer("head").bias.assign([3e38, 0.0, 0.0])  # finite, but not what comes of it
    student.get_layer("head").kernel.assign(np.full_like(student.get_layer("head").kernel, 3e38))
    with pytest.raises(ExportError, match="NaN"):
        to_litert(student, tmp_path / "s.tflite")
    assert list(tmp_path.iterdir()) == []


def test_crash_between_the_two_renames_leaves_no_stale_contract(student, tmp_path, monkeypatch):
    import os

    path = tmp_path / "s.tflite"
    to_litert(student, path)
    replace = os.replace

    def crash(source, target):
        if Path(target) == contract_path(path):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        to_litert(student, path, quantization="float16")
    assert [p.name for p in tmp_path.iterdir()] == ["s.tflite"]


def test_contract_can_be_read_by_people(student, tmp_path):
    to_litert(student, tmp_path / "s.tflite", label_names=NAMES)
    text = (tmp_path / "s.json").read_text()
    assert list(json.loads(text))[:4] == ["schema_version", "file", "sha256", "size_bytes"]
    assert len(text) < 20_000


def _bad(**changes):
    return {"path": "s.tflite", **changes}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (_bad(path="s.h5"), "ending in .tflite"),
        (_bad(quantization="int4"), "quantization: expected one of"),
        (_bad(quantization="int8_mixed"), "quantization: expected one of .* received 'int8_mixed'"),
        (_bad(quantization="int8"), "calibration: int8 takes"),
        (_bad(quantization="int16x8"), "calibration: int16x8 takes"),
        (_bad(min_agreement=99), "min_agreement: expected 0 to 1"),
        (_bad(spec=PreprocessSpec(size=(64, 64))), r"\(32, 32, 1\), received \(64, 64, 1\)"),
        (_bad(label_names=("a", "b")), "expected 3 names"),
        (_bad(label_names="abc"), "expected 3 names"),
    ],
)
def test_wrong_arguments(student, tmp_path, arguments, message):
    path = tmp_path / arguments.pop("path")
    with pytest.raises(ValueError, match=message):
        to_litert(student, path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_students_of_the_wrong_kind(student, make_student, tmp_path):
    tapped = keras.Model(student.input, [student.output, student.get_layer("act").output])
    with pytest.raises(ValueError, match="one output"):
        to_litert(tapped, tmp_path / "s.tflite")
    with pytest.raises(ValueError, match="no default fits"):
        to_litert(make_student(channels=2), tmp_path / "s.tflite")
    with pytest.raises(TypeError, match=r"keras\.Model\. Received str"):
        to_litert("student.keras", tmp_path / "s.tflite")
    fully = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(ValueError, match="fixed size"):
        to_litert(fully, tmp_path / "s.tflite")
