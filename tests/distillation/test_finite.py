"""A loss that is not finite ends the training before it reaches the weights."""

import keras
import numpy as np
import pytest

from tests.distillation.networks import network, same, slices, weights_of
from tfkd.distillation import Distiller
from tfkd.errors import TrainingError
from tfkd.losses import DistillationLoss, FocalDice, PredictionMapDistillation
from tfkd.records import encode_case_ids


class Spoilt(DistillationLoss):
    """NaN on slices that are brighter than 100."""

    def compute_loss(self, teacher, student, labels):
        bad = keras.ops.max(teacher, axis=(1, 2, 3)) > 1e3
        return keras.ops.where(bad, float("nan"), keras.ops.mean(student, axis=(1, 2, 3)))


@pytest.fixture
def distiller() -> Distiller:
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1))
    teacher = keras.Model(image, keras.layers.Concatenate()([image] * 3))
    losses = [PredictionMapDistillation(), Spoilt(name="spoilt")]
    distiller = Distiller(teacher, network(2, seed=2), losses)
    distiller.compile(keras.optimizers.Adam(1e-2), FocalDice())
    return distiller


def test_the_loss_and_the_slices_are_named_and_the_weights_kept(distiller):
    x, y = slices(8)
    x[6] = 1e4
    names = ["volume-3"] * 4 + ["Fälle/12"] * 4
    targets = {"mask": y, "case_id": encode_case_ids(names), "slice_index": np.arange(8, dtype="i")}
    before = weights_of(distiller.student)
    message = "in spoilt, in a batch of slices Fälle/12 4, Fälle/12 5, Fälle/12 6, Fälle/12 7\\."
    with pytest.raises(TrainingError, match=message):
        distiller.fit(x, targets, batch_size=4, shuffle=False, verbose=0)
    changed = weights_of(distiller.student)
    trained = [np.array(v) for v in distiller.student.trainable_variables]
    assert all(np.all(np.isfinite(weight)) for weight in trained)
    assert not same(before, changed)  # by the first batch, which was good


def test_nothing_changes_by_the_bad_batch(distiller):
    x, y = slices(8)
    before = [np.array(v) for v in distiller.student.trainable_variables]
    with pytest.raises(TrainingError, match="slices of unknown origin"):
        distiller.fit(x * 1e4, y, batch_size=8, verbose=0)
    assert same(before, [np.array(v) for v in distiller.student.trainable_variables])


def test_the_supervised_loss_is_named_too(distiller):
    x, y = slices(8)
    x[0] = np.nan
    with pytest.raises(TrainingError, match="in student_loss, prediction_map"):
        distiller.fit(x, y, batch_size=8, verbose=0)


def test_a_gradient_that_is_not_finite_is_found_behind_finite_losses():
    """A NaN gets lost in a ReLU on the way forward, and comes back on the way backward."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(3, 3, padding="same", activation="relu")(image)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 1)(x))
    student = keras.Model(image, x)
    distiller = Distiller(None, student)
    distiller.compile("sgd", FocalDice())
    images, masks = slices(8)
    images[0] = np.nan
    before = [np.array(v) for v in student.trainable_variables]
    with pytest.raises(TrainingError, match=r"the gradient|student_loss"):
        distiller.fit(images, masks, batch_size=8, verbose=0)
    assert same(before, [np.array(v) for v in student.trainable_variables])


def test_names_may_hold_quotes(distiller):
    x, y = slices(8)
    x[0] = 1e4
    targets = {"mask": y, "case_id": encode_case_ids(["patient's [a]"] * 8)}
    with pytest.raises(TrainingError, match=r"slices patient.{1,2}s \[a\], patient"):
        distiller.fit(x, targets, batch_size=8, verbose=0)


def test_other_errors_pass_as_they_are(distiller):
    x, y = slices(8)
    with pytest.raises(Exception, match=r"(?i)shape") as caught:
        distiller.fit(x[:, :12], y, verbose=0)
    assert not isinstance(caught.value, TrainingError)


@pytest.mark.parametrize("wrong", [3, -1])
def test_a_label_of_no_class_is_named_and_the_weights_kept(distiller, wrong):
    x, y = slices(8)
    y[6, 0, 0] = wrong
    targets = {"mask": y, "case_id": encode_case_ids(["a"] * 8), "slice_index": np.arange(8)}
    before = weights_of(distiller.student)
    message = rf"labels 0 to 2, .* Received the label {wrong}\. .* a 4, a 5, a 6, a 7\."
    with pytest.raises(TrainingError, match=message):
        distiller.fit(x[4:], {k: v[4:] for k, v in targets.items()}, shuffle=False, verbose=0)
    assert same(before, weights_of(distiller.student))
    with pytest.raises(TrainingError, match=rf"label {wrong}\. .* of unknown origin"):
        distiller.evaluate(x, y, batch_size=8, verbose=0)


def test_labels_of_no_class_in_arrays_are_found_before_a_step_of_xla(distiller):
    x, y = slices(8)
    distiller.compile("sgd", FocalDice(), jit_compile=True)
    bad = np.where(np.arange(8)[:, None, None] == 7, 3, y)
    for act in (
        lambda: distiller.fit(x, bad, verbose=0),
        lambda: distiller.fit(x, y, validation_data=(x, bad), verbose=0),
        lambda: distiller.evaluate(x, {"mask": bad}, verbose=0),
    ):
        with pytest.raises(ValueError, match="label 3"):
            act()
