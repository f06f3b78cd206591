"""The Distiller's step on TensorFlow."""

from typing import Any

import keras
import tensorflow as tf

from tfkd.distillation.finite import check_finite, check_labels, naming_the_fault
from tfkd.distillation.multi_worker import MultiWorkerFit
from tfkd.distillation.targets import Targets
from tfkd.losses.labels import labels_are_checked
from tfkd.losses.reduction import replicas_in_sync, sum_over_replicas

__all__ = ["TensorFlowStep"]


class TensorFlowStep(MultiWorkerFit):
    """`train_step` with the teachers outside of the gradient tape; a part of the Distiller."""

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does.

        Raises:
            TrainingError: If a loss is not finite, or a label that of no class; names it and the
                slices of the batch.
        """
        with naming_the_fault():
            return super().fit(*args, **kwargs)  # type: ignore[misc]

    def evaluate(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does.

        Raises:
            TrainingError: If a label is that of no class.
        """
        with naming_the_fault():
            return super().evaluate(*args, **kwargs)  # type: ignore[misc]

    def make_train_function(self: Any, force: bool = False) -> Any:
        """Makes the optimizer's variables; made in the first step, they have it traced twice."""
        optimizer, variables = self.optimizer, self.trainable_variables
        if optimizer is not None and not optimizer.built and variables:
            with self.distribute_strategy.scope(), keras.name_scope(optimizer.name):
                optimizer.build(variables)
        return super().make_train_function(force)  # type: ignore[misc]

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        """One step of training on a batch `(x, y)` or `(x, y, sample_weight)`."""
        data = self._with_checked_labels(data)
        with labels_are_checked():
            return self._train_on(data)

    def _train_on(self: Any, data: Any) -> dict[str, Any]:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        targets = Targets.of(y)
        teacher = self._teach(x) if self._needs_teaching(targets) else None
        each = self._log_gradient_share
        with tf.GradientTape(persistent=each) as tape:
            outputs = self._student_pass(x)
            outputs.setdefault("teacher", teacher)
            parts = self._loss_parts(x, y, outputs, sample_weight)
            losses = self._weighted(parts)
            loss = sum(losses)
            scaled = [self.optimizer.scale_loss(one) for one in (losses if each else [loss])]
        variables = self.trainable_variables
        if not self.student.trainable_variables:
            raise ValueError(
                f"Expected a student that can be trained. {self.student.name!r} is frozen."
            )
        if each:
            gradients = self._sum_of_gradients(tape, scaled, variables)
        else:
            gradients = tape.gradient(scaled[0], variables)
        scaling = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if not self.jit_compile:  # XLA has neither strings nor a way to stop
            names = [tracker.name for tracker in self._trackers]
            # With loss scaling, an overflow of the gradients is part of the plan.
            gradients = check_finite(gradients, parts, names, targets, losses_only=scaling)
        if scaling:
            gradients = _skipped_by_all(gradients)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))

        count = self._count(x)
        self._loss_tracker.update_state(loss * replicas_in_sync(), sample_weight=count)
        self._track(parts, count)
        self._count_step()
        return self._as_logs(self.compute_metrics(x, y, outputs, sample_weight))

    def test_step(self: Any, data: Any) -> dict[str, Any]:
        """One step of evaluation."""
        data = self._with_checked_labels(data)
        with labels_are_checked():
            return self._as_logs(super().test_step(data))  # type: ignore[misc]

    def _with_checked_labels(self: Any, data: Any) -> Any:
        """The batch, once each of its labels is known to be that of a class, or 255.

        Of a step that XLA compiles as a whole nothing can be asked; its loss becomes NaN.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if y is None or self.jit_compile:
            return data
        targets = Targets.of(y)
        mask = check_labels(targets, self._num_classes)
        y = {**y, "mask": mask} if isinstance(y, dict) else mask
        # Otherwise the statistics of batch normalisation would not wait for the check.
        with tf.control_dependencies([mask]):
            x = tf.nest.map_structure(tf.identity, x)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _needs_teaching(self: Any, targets: Targets) -> bool:
        return bool(self.teachers) and targets.cache is None and bool(self.distillation_losses)

    def _sum_of_gradients(
        self: Any, tape: tf.GradientTape, losses: list[tf.Tensor], variables: list[Any]
    ) -> list[tf.Tensor]:
        """The gradient of the sum, as the sum of the losses' own, whose norms are logged."""
        values = [variable.value for variable in variables]
        each = [
            tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            for loss in losses
        ]
        of_student = {id(variable) for variable in self.student.trainable_variables}
        norms = [
            tf.linalg.global_norm(
                [
                    gradient
                    for gradient, variable in zip(gradients, variables, strict=True)
                    if id(variable) in of_student
                ]
            )
            for gradients in each
        ]
        total = tf.add_n(norms)
        # A step whose scaled gradients overflow is left out, as it is of the training.
        usable = tf.math.is_finite(total) & (total > 0)
        for tracker, norm in zip(self._share_trackers, norms, strict=True):
            share = tf.where(usable, norm / total, 0.0)
            tracker.update_state(share, sample_weight=tf.cast(usable, tf.float32))
        return [tf.add_n(parts) for parts in zip(*each, strict=True)]


def _skipped_by_all(gradients: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """Lets an overflow in one replica be one in all of them.

    Keras asks the first replica alone whether loss scaling skips the step, before it adds up the
    gradients of all.
    """
    if replicas_in_sync() == 1:
        return gradients
    finite = [tf.reduce_all(tf.math.is_finite(one)) for one in gradients if one is not None]
    overflows = sum_over_replicas(tf.cast(~tf.reduce_all(finite), tf.float32)) > 0
    return [
        None if one is None else tf.where(overflows, tf.cast(float("nan"), one.dtype), one)
        for one in gradients
    ]
