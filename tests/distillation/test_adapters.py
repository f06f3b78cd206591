import keras
import numpy as np

from tests.distillation.networks import network, same, slices, weights_of
from tfkd.distillation import Distiller, Teachers, methods
from tfkd.losses import FocalDice, HintDistillation


def distiller_of(teacher, student, *method) -> Distiller:
    distiller = Distiller(teacher, student, *(method or methods.fitnets(1.0)))
    distiller.compile(keras.optimizers.Adam(1e-2), loss=FocalDice())
    return distiller


def test_adapter_is_trained_with_the_student_and_stays_outside(tmp_path):
    x, y = slices(8)
    student = network(2, seed=2)
    distiller = distiller_of(network(8, seed=1), student)
    own = {id(variable) for variable in student.variables}
    adapter = [v for v in distiller.trainable_variables if id(v) not in own]
    assert [tuple(v.shape) for v in adapter] == [(1, 1, 4, 16), (16,)]
    before = [np.array(v) for v in adapter]
    distiller.fit(x, y, epochs=2, verbose=0)
    assert not same(before, [np.array(v) for v in adapter])
    distiller.student.save(tmp_path / "student.keras")
    saved = keras.saving.load_model(tmp_path / "student.keras")
    assert saved.count_params() == network(2).count_params()
    np.testing.assert_allclose(
        saved.predict(x, verbose=0), distiller.predict(x, verbose=0), atol=1e-6
    )


def test_hint_is_learnt():
    x, y = slices(8)
    distiller = distiller_of(network(8, seed=1), network(2, seed=2))
    history = distiller.fit(x, y, epochs=30, verbose=0).history["hint_tap_high"]
    assert history[-1] < 0.7 * history[0]


def test_each_teacher_has_an_adapter_of_its_own():
    x, y = slices(8)
    student = network(2, seed=2)
    teachers = Teachers([network(8, seed=1), network(6, seed=3)])
    distiller = distiller_of(teachers, student)
    own = {id(variable) for variable in student.variables}
    kernels = [v for v in distiller.trainable_variables if id(v) not in own and v.shape[0] == 1]
    assert sorted(tuple(v.shape) for v in kernels) == [(1, 1, 4, 12), (1, 1, 4, 16)]
    before = [np.array(v) for v in kernels]
    distiller.fit(x, y, epochs=1, verbose=0)
    assert not any(np.array_equal(a, np.array(v)) for a, v in zip(before, kernels, strict=True))


def test_state_of_the_training_holds_the_adapter(tmp_path):
    x, y = slices(8)
    distiller = distiller_of(network(8, seed=1), network(2, seed=2))
    distiller.fit(x, y, epochs=1, verbose=0)
    distiller.save_weights(tmp_path / "state.weights.h5")
    other = distiller_of(network(8, seed=1), network(2, seed=5))
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "state.weights.h5")
    assert same(weights_of(distiller), weights_of(other))


def test_self_distillation_adapts_too():
    x, y = slices(8)
    student = network(2, seed=2)
    loss = HintDistillation("tap_high", "tap_low")
    distiller = distiller_of(student, student, loss, 0.1)
    history = distiller.fit(x, y, epochs=1, verbose=0).history
    assert np.isfinite(history["hint_tap_high"]).all()


def test_gradient_share_is_the_students():
    """An adapter's own gradient is no share of what moves the student."""
    x, y = slices(8)
    student = network(2, seed=2)
    distiller = Distiller(
        network(8, seed=1), student, *methods.fitnets(1e-6), log_gradient_share=True
    )
    distiller.compile("adam", loss=FocalDice())
    history = distiller.fit(x, y, epochs=1, verbose=0).history
    assert history["gradient_share_hint_tap_high"][0] < 1e-3
    assert history["gradient_share_student"][0] > 0.999
