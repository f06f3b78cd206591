"""The distillation losses of a step, compiled together as the Distiller does."""

import numpy as np
import tensorflow as tf

from tfkd.distillation import methods
from tfkd.distillation.terms import DistillationTerms


class Losses:
    """Forward and backward at batch 8, with the feature sizes of U-Net and ENet at width 0.5."""

    params = (64, 256)

    def setup(self, size: int) -> None:
        rng = np.random.default_rng(0)

        def tensor(scale: int, channels: int) -> tf.Tensor:
            shape = (8, size // scale, size // scale, channels)
            return tf.constant(rng.normal(size=shape).astype("float32"))

        losses, _ = methods.emkd()
        self.labels = tf.constant(rng.integers(0, 3, (8, size, size)), tf.int32)
        shapes = {None: (1, 3, 3), "tap_low": (2, 64, 8), "tap_high": (8, 256, 64)}
        sizes = [shapes[loss.teacher_layer_name] for loss in losses]
        self.teacher = [tensor(scale, channels) for scale, channels, _ in sizes]
        self.student = [tensor(scale, channels) for scale, _, channels in sizes]
        self.terms = DistillationTerms(losses)

    def time_forward_and_backward(self, size: int) -> None:
        with tf.GradientTape() as tape:
            tape.watch(self.student)
            values = self.terms(self.teacher, self.student, self.labels, 3)
            total = tf.add_n([tf.reduce_sum(value) for value in values])
        tape.gradient(total, self.student)[0].numpy()
