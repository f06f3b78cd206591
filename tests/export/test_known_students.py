"""A student that knows what it was trained on is exported for that, and for nothing else."""

import dataclasses

import keras
import pytest
import tensorflow as tf

from tfkd.export import keras_predictor, quantization_aware, to_litert
from tfkd.models import facts_of, set_facts
from tfkd.volumes import DataFacts, PreprocessSpec

NAMES = ("background", "liver", "bone")
WIDE = PreprocessSpec(size=(32, 32), window_hu=(-1000, 1000))
DEFAULT = dataclasses.replace(WIDE, window_hu=(-60, 140))


@pytest.fixture
def known(student) -> keras.Model:
    network = keras.models.clone_model(student)
    network.set_weights(student.get_weights())
    set_facts(network, DataFacts(WIDE, NAMES))
    return network


def test_the_contract_says_what_the_student_was_trained_on(known, tmp_path):
    contract = to_litert(known, tmp_path / "s.tflite", min_agreement=0.0).contract
    assert (contract.spec, contract.label_names) == (WIDE, NAMES)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"spec": DEFAULT}, r"window_hu \(-60, 140\) instead of \(-1000, 1000\)"),
        ({"label_names": ("background", "kidney", "bone")}, "label_names .*kidney"),
    ],
)
def test_another_contract_is_refused(known, tmp_path, given, words):
    with pytest.raises(ValueError, match=words):
        to_litert(known, tmp_path / "s.tflite", **given)
    with pytest.raises(ValueError, match=words):
        keras_predictor(known, **{"spec": WIDE, "label_names": NAMES, **given})
    assert not list(tmp_path.iterdir())


def test_calibration_slices_of_another_window_are_refused(known, student, ct_slices, tmp_path):
    slices = tf.data.Dataset.from_tensor_slices((ct_slices, ct_slices[..., 0] * 0)).batch(4)
    slices.facts = DataFacts(DEFAULT, NAMES)
    with pytest.raises(ValueError, match=r"calibration: .*window_hu \(-60, 140\)"):
        to_litert(known, tmp_path / "s.tflite", quantization="int8", calibration=slices)
    with pytest.raises(ValueError, match=r"calibration: .*window_hu \(-60, 140\)"):
        to_litert(student, tmp_path / "s.tflite", calibration=slices, spec=WIDE)


def test_a_copy_for_int8_knows_it_too(known):
    assert facts_of(quantization_aware(known)) == DataFacts(WIDE, NAMES)
