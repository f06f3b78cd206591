"""Several teachers, the student as its own teacher, and no teacher at all."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.distillation.networks import CLASSES, network, same, slices, weights_of
from tfkd.distillation import Distiller, Teachers, methods
from tfkd.losses import FocalDice, ImportanceMapDistillation, PredictionMapDistillation
from tfkd.records import encode_case_ids


def fitted(distiller: Distiller, x, y, **arguments) -> dict[str, list[float]]:
    distiller.compile(keras.optimizers.SGD(0.1), FocalDice())
    return distiller.fit(x, y, batch_size=8, shuffle=False, verbose=0, **arguments).history


def one_hot(labels) -> np.ndarray:
    return np.eye(CLASSES, dtype="float32")[labels]


def test_equal_teachers_are_one_teacher():
    x, y = slices()
    teacher = network(4, seed=1)
    one, two = network(2, seed=2), network(2, seed=2)
    first = fitted(Distiller(teacher, one, *methods.emkd()), x, y, epochs=2)
    second = fitted(Distiller(Teachers([teacher, teacher]), two, *methods.emkd()), x, y, epochs=2)
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-4)
    for expected, weight in zip(weights_of(one), weights_of(two), strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-5)


@pytest.mark.parametrize("weighting", ["mean", "confidence"])
def test_each_loss_is_the_weighted_mean_over_teachers_of_any_size(weighting):
    x, y = slices()
    models = [network(4, seed=1), network(8, seed=5)]
    loss = PredictionMapDistillation()
    distiller = Distiller(Teachers(models, weighting), network(2, seed=2), loss)
    history = fitted(distiller, x, y)
    student = network(2, seed=2)(x, training=True)
    teachers = Teachers(models, weighting)
    logits = [model(x, training=False) for model in models]
    shares = teachers.shares(teachers.confidence(logits, one_hot(y)), None)
    values = [loss.compute_loss(each, student, one_hot(y)) for each in logits]
    expected = np.mean(np.sum(np.stack(values, -1) * np.array(shares), -1))
    np.testing.assert_allclose(history["prediction_map"], [expected], rtol=1e-4)


def test_confidence_counts_regions_not_pixels():
    """99 of 100 pixels background: whoever misses the one of the tumour is half wrong."""
    labels = np.zeros((1, 10, 10), "int32")
    labels[0, 5, 5] = 2
    sure = 50.0 * one_hot(labels)
    blind = 50.0 * one_hot(np.zeros_like(labels))
    teachers = Teachers([network(2), network(2)], "confidence")
    confidence = np.array(teachers.confidence([sure, blind], one_hot(labels)))
    np.testing.assert_allclose(confidence, [[1.0, 0.5]], atol=1e-6)
    np.testing.assert_allclose(teachers.shares(confidence, None), [[2 / 3, 1 / 3]], atol=1e-5)


def test_a_teacher_speaks_only_about_cases_that_it_did_not_see():
    teachers = Teachers(
        [network(2), network(2)], trained_on=[{"case_1", "case_3"}, ["case_2", "case_3", "x" * 99]]
    )
    case_id = encode_case_ids(["case_1", "case_2", "case_3", "case_4", "case_12"])
    shares = np.array(teachers.shares(ops.ones((5, 2)), case_id))
    expected = [[0, 1], [1, 0], [0, 0], [0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_allclose(shares, expected, atol=1e-5)


def test_cases_reach_the_shares_in_fit():
    """Both cases were seen by all teachers: nothing is distilled, the labels alone teach."""
    x, y = slices()
    targets = {"mask": y, "case_id": encode_case_ids(["a"] * 4 + ["b"] * 4)}
    teachers = Teachers([network(4), network(4, seed=3)], trained_on=[{"a", "b"}, {"a", "b"}])
    history = fitted(Distiller(teachers, network(2, seed=2), *methods.emkd()), x, targets)
    assert history["prediction_map"] == [0.0]
    assert history["loss"] == pytest.approx(history["student_loss"])
    half = Teachers([network(4), network(4, seed=3)], trained_on=[{"a"}, {"a"}])
    history = fitted(Distiller(half, network(2, seed=2), *methods.emkd()), x, targets)
    assert history["prediction_map"][0] > 0


def test_unknown_origin_is_an_error_where_it_matters():
    x, y = slices()
    teachers = Teachers([network(4)], trained_on=[{"a"}])
    with pytest.raises(ValueError, match="case_id"):
        fitted(Distiller(teachers, network(2), *methods.emkd()), x, y)


def test_no_teacher_is_training_from_labels_alone():
    x, y = slices()
    alone, student = network(2, seed=2), network(2, seed=2)
    alone.compile(keras.optimizers.SGD(0.1), FocalDice())
    expected = alone.fit(
        x, y, batch_size=8, shuffle=False, epochs=3, validation_data=(x, y), verbose=0
    ).history
    distiller = Distiller(None, student)
    found = fitted(distiller, x, {"mask": y}, epochs=3, validation_data=(x, y))
    assert set(found) == set(expected)
    for name, curve in expected.items():
        np.testing.assert_allclose(found[name], curve, rtol=1e-5)
    assert distiller.teacher is None


def test_a_student_teaches_itself_from_deep_to_shallow():
    x, y = slices()
    student = network(2, seed=2)
    distiller = Distiller(student, student, [ImportanceMapDistillation("tap_high", "tap_low")])
    history = fitted(distiller, x, y, epochs=8)
    curve = history["importance_map_tap_high"]
    assert 0 < curve[-1] < curve[0]
    assert not distiller.teachers  # one pass serves both sides
    assert distiller.teacher is student


def test_no_gradient_reaches_the_deep_layer_as_a_teacher():
    """With the distillation loss alone, what lies above the shallow tap stays as it is."""
    x, y = slices()
    student = network(2, seed=2)
    loss = ImportanceMapDistillation("tap_high", "tap_low")
    distiller = Distiller(student, student, [loss])
    distiller.compile(keras.optimizers.SGD(0.1), lambda y, z: 0.0 * ops.mean(z, axis=(1, 2, 3)))
    deep = student.get_layer("tap_high").input._keras_history.operation
    before = weights_of(student)
    gamma = np.array(deep.gamma)
    distiller.fit(x, y, batch_size=8, verbose=0)
    assert not same(before, weights_of(student))
    np.testing.assert_array_equal(deep.gamma, gamma)


def test_weights_may_be_schedules():
    x, y = slices()
    ramp = keras.optimizers.schedules.PolynomialDecay(0.0, 4, 0.8)
    losses = [PredictionMapDistillation(), ImportanceMapDistillation()]
    distiller = Distiller(network(4, seed=1), network(2, seed=2), losses, [ramp, 0.5])
    history = fitted(distiller, x, y, epochs=6)
    ramped = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.8]) * history["prediction_map"]
    expected = history["student_loss"] + ramped + 0.5 * np.array(history[losses[1].name])
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Teachers([]), "at least one teacher"),
        (lambda: Teachers([network(2)], "loudest"), "weighting.*loudest"),
        (lambda: Teachers([network(2)], trained_on=[{"a"}, {"b"}]), "each of the 1 teachers"),
        (lambda: Teachers([network(2)], trained_on=["case_1"]), "collection of case ids"),
        (lambda: Distiller(None, network(2), PredictionMapDistillation()), "Expected a teacher"),
        (
            lambda: Distiller(
                Teachers([network(2), network(2, classes=2)]),
                network(2),
                PredictionMapDistillation(),
            ),
            "same number of classes",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
