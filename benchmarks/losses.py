"""The distillation losses of a step, compiled together as the Distiller does."""

import numpy as np
import tensorflow as tf

from benchmarks.steps import BATCH, CLASSES, METHOD, losses_on


class Losses:
    """Forward and backward at batch 8, with the feature sizes of U-Net and ENet at width 0.5."""

    params = (64, 256)

    def setup(self, size: int) -> None:
        rng = np.random.default_rng(0)

        def tensor(scale: int, channels: int) -> tf.Tensor:
            shape = (BATCH, size // scale, size // scale, channels)
            return tf.constant(rng.normal(size=shape).astype("float32"))

        losses, _ = METHOD()
        labels = tf.constant(rng.integers(0, CLASSES, (BATCH, size, size)), tf.int32)
        shapes = {None: (1, CLASSES, CLASSES), "tap_low": (2, 64, 8), "tap_high": (8, 256, 64)}
        sizes = [shapes[loss.teacher_layer_name] for loss in losses]
        of_teacher = [tensor(scale, channels) for scale, channels, _ in sizes]
        of_student = [tensor(scale, channels) for scale, _, channels in sizes]
        self.step = losses_on(losses, of_teacher, of_student, labels)

    def time_forward_and_backward(self, size: int) -> None:
        self.step()
