import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.distillation.networks import SIZE, network, same, slices, weights_of
from tfkd.distillation import Distiller, methods
from tfkd.losses import (
    DistillationLoss,
    FocalDice,
    ImportanceMapDistillation,
    PredictionMapDistillation,
)


class Constant(DistillationLoss):
    """A loss with a known value and no gradient but a tiny one."""

    def __init__(self, value, name="constant", **layers):
        super().__init__(name=name, **layers)
        self.value = value

    def compute_loss(self, teacher, student, labels):
        return self.value + 0.0 * keras.ops.mean(student, axis=(1, 2, 3))


def distiller_of(*method, teacher=None, student=None, **compile_args) -> Distiller:
    teacher = teacher or network(8, seed=1)
    student = student or network(2, seed=2)
    distiller = Distiller(teacher, student, *(method or methods.emkd()))
    compile_args.setdefault("optimizer", keras.optimizers.Adam(1e-2))
    compile_args.setdefault("loss", FocalDice())
    distiller.compile(**compile_args)
    return distiller


def test_fit_learns_and_gives_every_loss_a_curve():
    x, y = slices(16)
    distiller = distiller_of()
    history = distiller.fit(x, y, batch_size=8, epochs=6, validation_data=(x, y), verbose=0).history
    names = {loss.name for loss in distiller.distillation_losses}
    assert set(history) == {"loss", "student_loss", "val_loss", "val_student_loss"} | names
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    weights = distiller.distillation_loss_weights
    total = np.array(history["student_loss"])
    for loss, weight in zip(distiller.distillation_losses, weights, strict=True):
        total += weight * np.array(history[loss.name])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)


def test_teacher_is_bit_identical_and_not_among_the_weights():
    x, y = slices()
    distiller = distiller_of()
    before = weights_of(distiller.teacher)
    distiller.fit(x, y, epochs=2, verbose=0)
    distiller.evaluate(x, y, verbose=0)
    assert same(before, weights_of(distiller.teacher))
    assert len(distiller.trainable_variables) == len(distiller.student.trainable_variables)
    student = {id(weight) for weight in distiller.student.weights}
    assert student == {id(weight) for weight in distiller.weights} & student
    teacher = {id(weight) for weight in distiller.teacher.weights}
    assert not teacher & {id(weight) for weight in distiller.weights}


def test_evaluate_and_predict_leave_every_weight():
    x, y = slices()
    distiller = distiller_of()
    distiller.fit(x, y, verbose=0)
    before = weights_of(distiller.student)
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    logits = distiller.predict(x, verbose=0)
    assert same(before, weights_of(distiller.student))
    np.testing.assert_allclose(logits, distiller.student(x, training=False), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logs["loss"], FocalDice()(y, logits), rtol=1e-4)
    assert set(logs) == {"loss", "student_loss"}


def test_weights_zero_train_like_the_student_alone():
    x, y = slices()
    alone = network(2, seed=2)
    alone.compile("sgd", FocalDice())
    losses, weights = methods.emkd()
    distiller = distiller_of(losses, [0.0] * len(weights), optimizer="sgd")
    for model in (alone, distiller):
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    for expected, weight in zip(alone.weights, distiller.student.weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)


def test_regularisers_of_the_student_count():
    x, y = slices()
    student = network(2, seed=2, regularizer="l2")
    distiller = distiller_of([Constant(3.0)], 0.5, student=student)
    penalty = float(sum(student.losses))
    expected = penalty + float(FocalDice()(y, student(x, training=True))) + 1.5
    history = distiller.fit(x, y, batch_size=8, verbose=0).history
    assert penalty > 1e-3
    np.testing.assert_allclose(history["loss"], [expected], rtol=1e-4)


@pytest.mark.parametrize("shape", [(8,), (8, SIZE, SIZE)])
def test_sample_weight_weighs_every_loss(shape):
    x, y = slices(8)
    weight = np.zeros(shape, "float32")
    weight[:4] = 2.0
    distiller = distiller_of([Constant(3.0)])
    history = distiller.fit(x, y, sample_weight=weight, batch_size=8, verbose=0).history
    np.testing.assert_allclose(history["constant"], [3.0], rtol=1e-6)
    student = network(2, seed=2)
    expected = FocalDice()(y, student(x, training=True), weight)
    np.testing.assert_allclose(history["student_loss"], [expected], rtol=1e-4)


def test_a_batch_without_foreground_is_finite():
    x, y = slices()
    distiller = distiller_of(jit_compile=True)
    history = distiller.fit(x, np.zeros_like(y), verbose=0).history
    assert np.all(np.isfinite([values for values in history.values()]))
    assert all(np.all(np.isfinite(weight)) for weight in weights_of(distiller.student))


def test_each_network_runs_once_per_step(monkeypatch):
    calls = {"teacher": 0, "student": 0}

    class Counting(keras.layers.Layer):
        def __init__(self, role):
            super().__init__()
            self.role = role

        def call(self, x, training=None):
            calls[self.role] += 1
            return x

    networks = {}
    for role in calls:
        base = network(2)
        networks[role] = keras.Model(base.input, Counting(role)(base.output))
        for tap in ("tap_low", "tap_high"):
            assert networks[role].get_layer(tap)
    distiller = distiller_of(**networks, run_eagerly=True)
    x, y = slices()
    for role in calls:
        calls[role] = 0
    distiller.train_on_batch(x, y)
    assert calls == {"teacher": 1, "student": 1}


def test_student_saves_and_loads_without_tfkd(tmp_path):
    x, y = slices()
    distiller = distiller_of()
    distiller.fit(x, y, verbose=0)
    path = tmp_path / "student.keras"
    distiller.student.save(path)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "logits.npy", distiller.student.predict(x, verbose=0))
    code = (
        "import sys, keras, numpy as np\n"
        f"model = keras.saving.load_model(r'{path}')\n"
        f"x, logits = (np.load(r'{tmp_path}/' + n) for n in ('x.npy', 'logits.npy'))\n"
        "np.testing.assert_allclose(model.predict(x, verbose=0), logits, rtol=1e-4, atol=1e-5)\n"
        "assert 'tfkd' not in sys.modules\n"
        "assert not any('teacher' in v.path for v in model.weights)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_weights_of_the_training_save_and_load(tmp_path):
    x, y = slices()
    distiller = distiller_of()
    distiller.fit(x, y, verbose=0)
    distiller.save_weights(tmp_path / "state.weights.h5")
    again = distiller_of(student=network(2, seed=5))
    again.train_on_batch(x, y)
    again.load_weights(tmp_path / "state.weights.h5")
    assert same(weights_of(distiller.student), weights_of(again.student))


def test_saving_the_distiller_says_what_to_do(tmp_path):
    with pytest.raises(NotImplementedError, match=r"distiller\.student\.save"):
        distiller_of().save(tmp_path / "distiller.keras")


def test_layers_may_have_any_name():
    student = network(2)
    student.get_layer("tap_high").name = "features"
    student = keras.Model(student.input, student.output)
    loss = ImportanceMapDistillation("tap_high", "features")
    x, y = slices()
    history = distiller_of([loss], student=student).fit(x, y, verbose=0).history
    assert history["importance_map_tap_high"][0] > 0


def test_mixed_precision_student_under_a_float32_teacher():
    x, y = slices()
    student = network(2, dtype="mixed_float16")
    distiller = distiller_of(student=student)
    history = distiller.fit(x, y, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student": network(2, classes=2)}, "same number of classes.* 3 .* 2 "),
        ({"student": network(2, size=32)}, "same input"),
        ({"losses": [ImportanceMapDistillation("tap_top")]}, "tap_top.*tap_low"),
        ({"weights": [1.0, 2.0]}, "one weight per"),
        ({"losses": ["kl"]}, "DistillationLoss"),
        ({"losses": [PredictionMapDistillation()] * 2}, "name of its own"),
        ({"losses": [PredictionMapDistillation(name="loss")]}, "other names.*'loss'"),
        ({"teacher": keras.Sequential()}, "Functional"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"teacher": network(4), "student": network(2)}
    arguments |= {"losses": [PredictionMapDistillation()], "weights": None} | change
    with pytest.raises(ValueError, match=f"(?s){message}"):
        Distiller(*arguments.values())


def test_images_may_come_by_the_name_of_the_input():
    x, y = slices()
    plain, named = network(2, seed=2), network(2, seed=2)
    named = keras.Model({"image": named.inputs[0]}, named.outputs[0])
    histories = [
        distiller_of(student=student)
        .fit(images, y, batch_size=8, validation_data=(images, y), verbose=0)
        .history
        for student, images in ((plain, x), (named, {"image": x}))
    ]
    for name, curve in histories[0].items():
        np.testing.assert_allclose(histories[1][name], curve, rtol=1e-5)


def test_without_an_optimizer_it_still_evaluates():
    x, y = slices()
    distiller = distiller_of(student=network(2, dtype="mixed_float16"), optimizer=None)
    assert np.isfinite(distiller.evaluate(x, y, verbose=0, return_dict=True)["loss"])


def test_a_frozen_student_is_named():
    x, y = slices()
    student = network(2)
    student.trainable = False
    with pytest.raises(ValueError, match="can be trained"):
        distiller_of(student=student).fit(x, y, verbose=0)


def test_unknown_targets_are_named():
    x, y = slices()
    for wrong in ({"mask": y, "spacing": y}, {"labels": y}):
        with pytest.raises(ValueError, match=r"'mask' and any of.*Received one of"):
            distiller_of().fit(x, wrong, verbose=0)


def test_xla_leaves_the_step_where_it_was_not_asked_for(monkeypatch):
    """On a GPU Keras would compile the whole step, in which no loss can be checked."""
    monkeypatch.setattr(keras.src.trainers.trainer, "model_supports_jit", lambda model: True)
    distiller = distiller_of()
    assert not distiller.jit_compile
    assert distiller_of(jit_compile=True).jit_compile
