"""Which feature int8 spoils, and what it takes to mend it."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.export.wide_ranges import CULPRIT, wide_student
from tfkd.errors import ExportError
from tfkd.export import keras_logits
from tfkd.export.convert import convert, float_operators
from tfkd.export.mixed_int8 import MixedInt8
from tfkd.inference import LiteRTModel


@pytest.fixture(scope="module")
def broken(make_student):
    return wide_student(make_student)


@pytest.fixture(scope="module")
def mixed(broken, ct_slices):
    return MixedInt8(broken, ct_slices)


@pytest.fixture
def agreement(broken, ct_slices, tmp_path):
    expected = keras_logits(broken, 24)(ct_slices).argmax(-1)

    def of(content):
        (tmp_path / "file.tflite").write_bytes(content)
        return np.mean(LiteRTModel(tmp_path / "file.tflite")(ct_slices).argmax(-1) == expected)

    return of


def test_the_culprit_is_found_and_mended(broken, mixed, agreement, ct_slices):
    assert agreement(convert(broken, "int8", ct_slices)) < 0.9
    worst, *others = mixed.worst_first
    assert CULPRIT in worst.name
    assert worst.operator == "CONV_2D"
    assert worst.error > 0.5
    assert all(feature.error < 0.05 for feature in others)
    assert len(worst.kept) == 2  # what makes it and what reads it
    assert agreement(mixed.content([])) < 0.9
    assert agreement(mixed.content([worst])) > 0.99


def test_only_what_was_named_is_left_in_floating_point(mixed):
    plain, mended = mixed.content([]), mixed.content(mixed.worst_first[:1])
    kinds = _kinds(mended)
    assert kinds.count("CONV_2D int8") == _kinds(plain).count("CONV_2D int8") - 2
    assert kinds.count("CONV_2D float32") == 2
    assert "CONV_2D float32" not in _kinds(plain)
    # Only the casts at both ends of the other file are in floating point.
    assert float_operators(plain) == []
    # One in int8, the other four times as large; what else is in a file does not depend on it.
    assert 0 < len(mended) - len(plain) < 2000


def test_the_worst_can_be_taken_back(mixed):
    before = mixed.content([])
    mixed.content(mixed.worst_first[:2])
    assert mixed.content([]) == before


def test_a_good_student_has_no_bad_feature(student, ct_slices):
    features = MixedInt8(student, ct_slices).worst_first
    assert len(features) == 4
    assert features[0].error < 0.05
    assert [f.error for f in features] == sorted((f.error for f in features), reverse=True)


def test_nothing_left_in_int8_is_refused(mixed):
    with pytest.raises(ExportError, match=r"refused to leave .*wide"):
        mixed.content(mixed.worst_first)


def _kinds(content):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    types = {value: name for name, value in vars(schema.TensorType).items()}
    (graph,) = model.subgraphs
    return [
        f"{names[model.operatorCodes[operator.opcodeIndex].builtinCode]} "
        f"{types[graph.tensors[operator.outputs[0]].type].lower()}"
        for operator in graph.operators
    ]
