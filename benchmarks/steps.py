"""The training steps that the benchmarks compare, all on the same networks, batch and losses."""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfkd
from tfkd.distillation.terms import DistillationTerms

BATCH, CLASSES = 8, 3

# Student and its width: teacher and its width.
PAIRS: dict[str, tuple[float, tuple[str, float]]] = {
    "MobileNetV2": (0.25, ("RAUNet", 0.25)),
    "ENet": (0.5, ("RAUNet", 0.25)),
    "UNet": (0.0625, ("UNet", 0.125)),  # has few layers, so it is quickly traced
}

METHOD = tfkd.methods.emkd
# Prediction and two importance maps: what Keras's Distiller can compute, as it has no labels.
SAME_LOSSES = slice(0, 3)

# Keras's Distiller makes its feature extractor for a list of one image.
warnings.filterwarnings("ignore", "The structure of `inputs`")

Step = Callable[[], Any]


def step(kind: str, size: int, student: str) -> Step:
    """One call is one step and returns when it is done; `kind` as in `KINDS`."""
    return KINDS[kind](size, student)


def plain(size: int, student: str) -> Step:
    """The student learns from the labels alone."""
    return _training(_student(size, student), size)


def teacher(size: int, student: str) -> Step:
    """The teacher's inference alone."""
    model, (images, _) = _teacher(size, student), batch(size)
    infer = tf.function(lambda x: tf.reduce_mean(model(x, training=False)))
    return lambda: infer(images).numpy()  # the number makes a GPU finish


def floor(size: int, student: str) -> Step:
    """The teacher's inference and the student's plain step, one after the other."""
    parts = teacher(size, student), plain(size, student)
    return lambda: [part() for part in parts]


def tfkd_all(size: int, student: str) -> Step:
    """Our Distiller with all the losses of the paper."""
    return _training(
        tfkd.Distiller(_teacher(size, student), _student(size, student), *METHOD()), size
    )


def tfkd_same(size: int, student: str) -> Step:
    """Our Distiller with the losses that Keras's gets."""
    losses, weights = (part[SAME_LOSSES] for part in METHOD())
    return _training(
        tfkd.Distiller(_teacher(size, student), _student(size, student), losses, weights), size
    )


def keras_same(size: int, student: str) -> Step:
    """Keras's Distiller with the same losses."""
    losses, weights = (part[SAME_LOSSES] for part in METHOD())
    distiller = keras.distillation.Distiller(
        _teacher(size, student),
        _student(size, student),
        distillation_losses=[_as_keras_loss(loss) for loss in losses],
        distillation_loss_weights=weights,
    )
    return _training(distiller, size)


def losses(size: int, student: str) -> Step:
    """The losses of the paper alone, forward and backward, on what the two networks return."""
    images, labels = batch(size)
    every, _ = METHOD()
    networks = _teacher(size, student), _student(size, student)
    taps = list(tfkd.models.TAPS)
    tensors = [
        dict(zip([None, *taps], tfkd.models.with_taps(network, taps)(images), strict=True))
        for network in networks
    ]
    names = [loss.teacher_layer_name for loss in every]
    return losses_on(every, *([each[name] for name in names] for each in tensors), labels)


KINDS: dict[str, Callable[[int, str], Step]] = {
    "plain": plain,
    "teacher": teacher,
    "floor": floor,
    "tfkd": tfkd_all,
    "tfkd_same_losses": tfkd_same,
    "keras": keras_same,
    "losses": losses,
}


def losses_on(
    every: Sequence[tfkd.losses.DistillationLoss],
    of_teacher: list[tf.Tensor],
    of_student: list[tf.Tensor],
    labels: tf.Tensor,
) -> Step:
    """Forward and backward through the losses as the Distiller compiles them."""
    terms = DistillationTerms(every)

    @tf.function
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(of_student)
            values = _values(terms, of_teacher, of_student, labels)
            total = tf.add_n([tf.reduce_sum(value) for value in values])
        return tape.gradient(total, of_student)

    return lambda: gradients()[0].numpy()


@cache
def batch(size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Images (N, H, W, 1) and class indices (N, H, W) of noise."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, size, size, 1)).astype("float32")
    return tf.constant(images), tf.constant(rng.integers(0, CLASSES, (BATCH, size, size)), tf.int32)


@cache
def _teacher(size: int, student: str) -> keras.Model:
    """One for all steps, since none changes it."""
    name, width = PAIRS[student][1]
    return tfkd.models.build(name, (size, size, 1), CLASSES, width)


def _student(size: int, name: str) -> keras.Model:
    return tfkd.models.build(name, (size, size, 1), CLASSES, PAIRS[name][0])


def _training(model: keras.Model, size: int) -> Step:
    model.compile("adam", tfkd.losses.FocalDice())
    model.optimizer.build(model.trainable_variables)  # in the first step, it is traced twice
    images, labels = batch(size)
    return lambda: model.train_on_batch(images, labels)


def _values(
    terms: DistillationTerms,
    of_teacher: Sequence[tf.Tensor],
    of_student: Sequence[tf.Tensor],
    labels: tf.Tensor,
) -> list[tf.Tensor]:
    """One value per example for each loss; the teacher is the only one."""
    return terms([of_teacher], [of_student], labels, CLASSES)


def _as_keras_loss(loss: tfkd.losses.DistillationLoss) -> keras.distillation.DistillationLoss:
    """The same loss, compiled in the same way, in the form that Keras's Distiller takes."""
    terms = DistillationTerms([loss])
    labels = tf.zeros((1, 1, 1), tf.int32)  # not looked at

    def compute(of_teacher: tf.Tensor, of_student: tf.Tensor) -> tf.Tensor:
        return _values(terms, [of_teacher], [of_student], labels)[0]

    if loss.teacher_layer_name is None:
        # With a temperature of 1, for it would divide the logits before the loss does.
        return keras.distillation.LogitsDistillation(temperature=1.0, loss=compute)
    return keras.distillation.FeatureDistillation(
        loss=compute,
        teacher_layer_name=loss.teacher_layer_name,
        student_layer_name=loss.student_layer_name,
    )
