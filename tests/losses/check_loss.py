"""One harness that every distillation loss goes through."""

import keras
import numpy as np
import tensorflow as tf

from tfkd.losses import DistillationLoss

BATCH, SIZE, CLASSES = 3, 16, 3


def batch(seed: int = 0, channels: tuple[int, int] = (5, 7)) -> tuple[np.ndarray, ...]:
    """Teacher tensor, student tensor, one-hot labels; the last class is absent from image 0."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, (BATCH, SIZE, SIZE))
    labels[0] = np.minimum(labels[0], CLASSES - 2)
    teacher, student = (rng.normal(size=(BATCH, SIZE, SIZE, c)).astype("float32") for c in channels)
    return teacher, student, np.eye(CLASSES, dtype="float32")[labels]


def check_loss(loss: DistillationLoss, channels: tuple[int, int] = (5, 7)) -> None:
    """Shape, gradient, mixed precision, absent classes, XLA and the config round trip."""
    teacher, student, labels = batch(channels=channels)

    @tf.function(jit_compile=True)
    def value_and_gradients(teacher, student, labels):
        with tf.GradientTape() as tape:
            tape.watch([teacher, student])
            values = loss.compute_loss(teacher, student, labels)
        return values, tape.gradient(values, [teacher, student])

    values, (_, gradient) = value_and_gradients(*map(tf.constant, (teacher, student, labels)))
    eager = keras.ops.convert_to_numpy(loss.compute_loss(teacher, student, labels))
    assert values.shape == (BATCH,)
    assert values.dtype == tf.float32
    assert np.all(np.isfinite(values))
    assert np.all(values.numpy() >= 0)
    np.testing.assert_allclose(values, eager, rtol=1e-4, atol=1e-6)
    assert np.all(np.isfinite(gradient))
    assert np.abs(gradient).max() > 0

    halves = [tf.cast(tensor, tf.float16) for tensor in (teacher, student)]
    low = loss.compute_loss(*halves, labels)
    assert low.dtype == tf.float32
    np.testing.assert_allclose(low, eager, rtol=0.05, atol=5e-3)

    for only in range(CLASSES):
        one_class = np.zeros_like(labels)
        one_class[..., only] = 1
        assert np.all(np.isfinite(loss.compute_loss(teacher, student, one_class)))
        _, gradients = value_and_gradients(
            tf.constant(teacher), tf.constant(student), tf.constant(one_class)
        )
        assert np.all(np.isfinite(gradients[1]))
    zeros = value_and_gradients(tf.zeros_like(teacher), tf.zeros_like(student), tf.constant(labels))
    assert np.all(np.isfinite(zeros[0]))
    assert np.all(np.isfinite(zeros[1][1]))

    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    np.testing.assert_array_equal(again.compute_loss(teacher, student, labels), eager)

    summary = loss.summarize(teacher, labels)
    assert all(len(part) == BATCH for part in summary.values())
    np.testing.assert_allclose(loss.compare(summary, student, labels), eager, rtol=1e-4, atol=1e-6)
