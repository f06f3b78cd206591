"""Teachers, student and data of a training belong together, or the Distiller refuses them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.distillation.networks import SIZE, network, slices
from tfkd import Distiller
from tfkd.distillation import Teachers
from tfkd.losses import FocalDice, PredictionMapDistillation
from tfkd.models import facts_of, load_network, set_facts
from tfkd.volumes import DataFacts, PreprocessSpec

NAMES = ("background", "liver", "tumour")
FACTS = DataFacts(PreprocessSpec(size=(SIZE, SIZE)), NAMES)
WIDE = DataFacts(PreprocessSpec(size=(SIZE, SIZE), window_hu=(-1000, 1000)), NAMES)
KIDNEY = DataFacts(FACTS.spec, ("background", "kidney", "tumour"))


def known(facts, channels=2):
    model = network(channels)
    set_facts(model, facts)
    return model


def dataset(facts):
    data = tf.data.Dataset.from_tensor_slices(slices(2)).batch(2)
    if facts is not None:
        data.facts = facts
    return data


def distiller(teacher, student):
    made = Distiller(teacher, student, [PredictionMapDistillation()])
    made.compile("sgd", loss=FocalDice(), run_eagerly=True)
    return made


def test_a_teacher_of_another_window_is_refused():
    student = known(FACTS)
    with pytest.raises(ValueError, match=r"window_hu \(-1000, 1000\) instead of \(-60, 140\)"):
        Distiller(known(WIDE), student, [PredictionMapDistillation()])
    with pytest.raises(ValueError, match=r"label_names .*kidney"):
        Distiller(Teachers([known(FACTS), known(KIDNEY)]), student, [PredictionMapDistillation()])


def test_networks_that_do_not_say_are_taken():
    for teacher, student in ((known(WIDE), network(2)), (network(2), known(WIDE))):
        Distiller(teacher, student, [PredictionMapDistillation()])


@pytest.mark.parametrize(("teacher", "student"), [(WIDE, None), (None, WIDE), (None, KIDNEY)])
def test_data_unlike_that_of_a_network_is_refused(teacher, student):
    made = distiller(known(teacher), known(student))
    before = made.student.get_weights()
    for act in (made.fit, made.evaluate):
        with pytest.raises(ValueError, match="Expected data like that which the"):
            act(dataset(FACTS), verbose=0)
    with pytest.raises(ValueError, match="Expected data like that which the"):
        made.fit(dataset(None), validation_data=dataset(FACTS), verbose=0)
    for weight, expected in zip(made.student.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_a_student_has_a_channel_for_each_label():
    two = DataFacts(FACTS.spec, NAMES[:2])
    made = distiller(network(2), network(2, seed=1))
    with pytest.raises(ValueError, match=r"2 classes \(background, liver\).* and 3 classes"):
        made.fit(dataset(two), verbose=0)


def test_the_student_learns_what_it_is_trained_on(tmp_path):
    made = distiller(known(FACTS), network(2, seed=1))
    made.fit(dataset(FACTS), verbose=0)
    assert facts_of(made.student) == FACTS
    made.student.save(tmp_path / "student.keras")
    loaded = load_network(tmp_path / "student.keras")
    with pytest.raises(ValueError, match="label_names"):
        Distiller(None, loaded).evaluate(dataset(KIDNEY))
    # On purpose, and for students of plain Keras.
    set_facts(loaded, None)
    Distiller(None, loaded).check_data(dataset(KIDNEY))
    plain = keras.saving.load_model(tmp_path / "student.keras")
    Distiller(None, plain).check_data(dataset(KIDNEY))


def test_data_that_does_not_say_teaches_no_facts():
    made = distiller(known(FACTS), network(2, seed=1))
    made.fit(*slices(2), verbose=0)
    assert facts_of(made.student) is None
