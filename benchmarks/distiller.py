"""A step of the Distiller beside its floor and beside Keras's own, in one run."""

import keras
import numpy as np
import tensorflow as tf

import tfkd
from tfkd.distillation.terms import DistillationTerms


class Step:
    """One training step at batch 8: U-Net of width 0.125 teaches one of width 0.0625."""

    params = (64, 256)
    reference = "time_floor"

    def setup(self, size: int) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(8, size, size, 1)).astype("float32")
        self.data = (tf.constant(x), tf.constant(rng.integers(0, 3, (8, size, size))))
        self.teacher = tfkd.models.UNet((size, size, 1), 3, width=0.125)
        method = tfkd.methods.emkd()
        self.ours = self._compiled(tfkd.Distiller(self.teacher, self._student(size), *method))
        self.plain = self._compiled(self._student(size))
        losses = [_as_keras_loss(loss) for loss in method[0][:3]]
        self.keras = self._compiled(
            keras.distillation.Distiller(
                self.teacher,
                self._student(size),
                distillation_losses=losses,
                distillation_loss_weights=method[1][:3],
            )
        )
        self.infer = tf.function(lambda images: self.teacher(images, training=False))

    def _student(self, size: int) -> keras.Model:
        return tfkd.models.UNet((size, size, 1), 3, width=0.0625)

    def _compiled(self, model: keras.Model) -> keras.Model:
        model.compile("adam", tfkd.losses.FocalDice())
        return model

    def time_floor(self, size: int) -> None:
        """The teacher's inference and the student's own step, nothing else."""
        self.infer(self.data[0])
        self.plain.train_on_batch(*self.data)

    def time_tfkd(self, size: int) -> None:
        self.ours.train_on_batch(*self.data)

    def time_keras(self, size: int) -> None:
        """Keras's Distiller with prediction and importance maps; it has no labels for the third."""
        self.keras.train_on_batch(*self.data)


def _as_keras_loss(loss: tfkd.losses.DistillationLoss) -> keras.distillation.DistillationLoss:
    """The same loss in the form that Keras's Distiller takes."""
    terms = DistillationTerms([loss])
    labels = tf.zeros((1, 1, 1), tf.int32)

    def compute(teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
        return terms([teacher], [student], labels, 3)[0]

    if loss.teacher_layer_name is None:
        return keras.distillation.LogitsDistillation(loss=compute)
    return keras.distillation.FeatureDistillation(
        loss=compute,
        teacher_layer_name=loss.teacher_layer_name,
        student_layer_name=loss.student_layer_name,
    )
