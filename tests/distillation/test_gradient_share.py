"""Which loss leads, measured by its gradient."""

import keras
import numpy as np
import tensorflow as tf

from tests.distillation.networks import network, slices
from tfkd.distillation import Distiller
from tfkd.losses import FocalDice, ImportanceMapDistillation, PredictionMapDistillation


def distiller_of(weights, **arguments) -> Distiller:
    losses = [PredictionMapDistillation(), ImportanceMapDistillation()]
    distiller = Distiller(network(4, seed=1), network(2, seed=2), losses, weights, **arguments)
    distiller.compile(keras.optimizers.SGD(0.1), FocalDice())
    return distiller


def test_shares_are_those_of_the_norms():
    x, y = slices(8)
    weights = [0.3, 0.7]
    history = distiller_of(weights, log_gradient_share=True).fit(x, y, batch_size=8, verbose=0)
    teacher, student = network(4, seed=1), network(2, seed=2)
    labels = np.eye(3, dtype="float32")[y]
    high = [keras.Model(m.input, m.get_layer("tap_high").output) for m in (teacher, student)]
    norms = []
    for part in range(3):
        with tf.GradientTape() as tape:
            logits = student(x, training=True)
            if part == 0:
                value = FocalDice()(y, logits)
            elif part == 1:
                loss = PredictionMapDistillation()
                value = 0.3 * tf.reduce_mean(loss.compute_loss(teacher(x), logits, labels))
            else:
                loss = ImportanceMapDistillation()
                features = high[0](x, training=False), high[1](x, training=True)
                value = 0.7 * tf.reduce_mean(loss.compute_loss(*features, labels))
        gradients = tape.gradient(value, [v.value for v in student.trainable_variables])
        norms.append(float(tf.linalg.global_norm([g for g in gradients if g is not None])))
    names = ["student", "prediction_map", "importance_map_tap_high"]
    found = [history.history[f"gradient_share_{name}"][0] for name in names]
    np.testing.assert_allclose(found, np.array(norms) / sum(norms), rtol=1e-3)


def test_logging_changes_nothing_else():
    x, y = slices(8)
    runs = [distiller_of([0.3, 0.7], log_gradient_share=log) for log in (False, True)]
    plain, logged = (
        run.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0) for run in runs
    )
    extra = set(logged.history) - set(plain.history)
    assert extra
    assert all(name.startswith("gradient_share_") for name in extra)
    for name, curve in plain.history.items():
        np.testing.assert_allclose(logged.history[name], curve, rtol=1e-5)
    logs = runs[1].evaluate(x, y, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "student_loss"}


def test_an_overflow_of_scaled_gradients_is_left_out():
    x, y = slices(8)
    student = network(2, seed=2, dtype="mixed_float16")
    distiller = Distiller(
        network(4, seed=1), student, PredictionMapDistillation(), log_gradient_share=True
    )
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), 2.0**40)
    distiller.compile(optimizer, FocalDice())
    history = distiller.fit(x, y, batch_size=4, epochs=1, verbose=0).history
    assert np.isfinite(history["gradient_share_prediction_map"]).all()
