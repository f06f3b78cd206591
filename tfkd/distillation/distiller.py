"""The Distiller: trains a student under a frozen teacher with plain `fit`."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfkd.distillation.terms import DistillationTerms
from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.reduction import mean_over_global_batch
from tfkd.models.taps import with_taps

__all__ = ["Distiller"]


class _Features:
    """A network seen through the layers that the losses look at.

    A plain object on purpose: Keras tracks models that are attributes of a model, and the teacher
    must be neither among the Distiller's weights nor in its files.
    """

    def __init__(self, model: keras.Model, layer_names: Sequence[str | None]) -> None:
        self.model = model
        taps = [name for name in dict.fromkeys(layer_names) if name is not None]
        self._network = with_taps(model, taps)
        self._position: dict[str | None, int] = {name: k for k, name in enumerate([None, *taps])}
        self._layer_names = list(layer_names)

    def __call__(self, x: Any, training: bool) -> tuple[Any, list[Any]]:
        """Logits, and for each loss the tensor it compares."""
        outputs = self._network(x, training=training)
        # Without taps, the network has a single output.
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return outputs[0], [outputs[self._position[name]] for name in self._layer_names]


class Distiller(keras.Model):
    """Trains a student network from labels and from a frozen teacher.

    Total loss = compiled loss + student's regularisers + Σ weightᵢ · distillation lossᵢ

    Each step runs the teacher once, in inference mode and outside of the gradient tape, and the
    student once inside of it; all distillation losses are one XLA program. `evaluate` and
    `predict` use the student alone and leave every weight as it was. The teacher never changes and
    is not among the Distiller's weights.

    In the history, `loss` is the total, `student_loss` the compiled loss with the regularisers,
    and each distillation loss has a curve of its own, unweighted, under its name. `val_loss` is the
    student's loss alone, so `val_student_loss` is the same curve and the one to set beside
    `student_loss`.

    Args:
        teacher: Functional `keras.Model` that maps images (N, H, W, C) to logits (N, H, W, K). It
            is not changed.
        student: Functional `keras.Model` with the same classes, the one that is trained.
        distillation_losses: One or several `tfkd.losses.DistillationLoss`.
        distillation_loss_weights: Absolute weight of each loss; 1 each by default.
        name: Name of the model.

    Raises:
        ValueError: If a layer that a loss names does not exist, if teacher and student differ in
            input or number of classes, or if losses and weights do not pair up.

    Labels are class indices (N, H, W), (N, H, W, 1), or one-hot (N, H, W, K). A `sample_weight` of
    shape (N,) or (N, H, W) weighs the compiled loss as Keras does, and each example's distillation
    losses by its weight, or by the mean weight of its pixels. A class that is absent from a slice
    is no special case: every loss of this library stays finite.

    Example:
        ```python
        distiller = tfkd.Distiller(teacher, student, *tfkd.methods.emkd())
        distiller.compile("adam", loss=tfkd.losses.FocalDice())
        distiller.fit(data.train, validation_data=data.validation, epochs=30)
        distiller.student.save("student.keras")
        ```
    """

    def __init__(
        self,
        teacher: keras.Model,
        student: keras.Model,
        distillation_losses: DistillationLoss | Sequence[DistillationLoss],
        distillation_loss_weights: float | Sequence[float] | None = None,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        losses = _as_list(distillation_losses)
        _check_losses(losses)
        _check_networks(teacher, student)
        self.student = student
        self.distillation_losses = tuple(losses)
        self.distillation_loss_weights = tuple(_as_weights(distillation_loss_weights, len(losses)))
        self._num_classes = int(student.output_shape[-1])
        self._teacher_features = _Features(teacher, [loss.teacher_layer_name for loss in losses])
        self._student_features = _Features(student, [loss.student_layer_name for loss in losses])
        self._terms = DistillationTerms(losses)
        self._student_loss_tracker = keras.metrics.Mean(name="student_loss")
        self._term_trackers = [keras.metrics.Mean(name=loss.name) for loss in losses]
        self.built = True

    @property
    def teacher(self) -> keras.Model:
        """The frozen teacher."""
        return self._teacher_features.model

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The student's logits (N, H, W, K)."""
        # Flattened, since a model made as keras.Model([image], [logits]) returns a list.
        (logits,) = keras.tree.flatten(self.student(inputs, training=training))
        return logits

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of training on a batch `(x, y)` or `(x, y, sample_weight)`."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        _, teacher_tensors = self._teacher_features(x, training=False)
        with tf.GradientTape() as tape:
            logits, student_tensors = self._student_features(x, training=True)
            student_loss = self.compute_loss(x, y, logits, sample_weight, training=True)
            values = self._terms(teacher_tensors, student_tensors, y, self._num_classes)
            terms = [mean_over_global_batch(_weighted(value, sample_weight)) for value in values]
            loss = student_loss + sum(
                weight * term
                for weight, term in zip(self.distillation_loss_weights, terms, strict=True)
            )
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))

        trackers = [self._loss_tracker, self._student_loss_tracker, *self._term_trackers]
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        for tracker, value in zip(trackers, [loss, student_loss, *terms], strict=True):
            # Undo the division of mean_over_global_batch: a curve shows the loss, not its share.
            tracker.update_state(value * replicas, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, logits, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of evaluation; the student alone, its loss and the compiled metrics."""
        logs = super().test_step(data)
        # What only training computes would show as a curve of zeros.
        for tracker in self._term_trackers:
            logs.pop(tracker.name, None)
        return logs | {self._student_loss_tracker.name: logs["loss"]}

    def get_config(self) -> dict[str, Any]:
        """Not available: the Distiller is a way to train, the student is what is kept."""
        raise NotImplementedError(
            "A Distiller is not saved, since the file would hold the teacher. Save the student "
            "with `distiller.student.save(path)`, or the state of the training with "
            "`distiller.save_weights(path)` or `keras.callbacks.BackupAndRestore`."
        )


def _weighted(values: Any, sample_weight: Any) -> Any:
    """Values (N,) times the weight of each example."""
    if sample_weight is None:
        return values
    weight = ops.cast(sample_weight, "float32")
    if len(weight.shape) > 1:
        weight = ops.mean(weight, axis=tuple(range(1, len(weight.shape))))
    return values * weight


def _as_list(losses: DistillationLoss | Sequence[DistillationLoss]) -> list[DistillationLoss]:
    return [losses] if isinstance(losses, DistillationLoss) else list(losses)


def _as_weights(weights: float | Sequence[float] | None, count: int) -> list[float]:
    if weights is None:
        return [1.0] * count
    listed = [float(weights)] if isinstance(weights, (int, float)) else [float(w) for w in weights]
    if len(listed) != count:
        raise ValueError(
            f"Expected one weight per distillation loss, {count} in all. Received {listed}."
        )
    return listed


def _check_losses(losses: list[DistillationLoss]) -> None:
    for loss in losses:
        if not isinstance(loss, DistillationLoss):
            raise ValueError(
                "Expected distillation losses to be instances of tfkd.losses.DistillationLoss. "
                f"Received {loss!r}."
            )
    names = [loss.name for loss in losses]
    if len(set(names)) < len(names):
        raise ValueError(
            f"Expected every distillation loss to have a name of its own. Received {names}. "
            "Pass `name=` to tell them apart."
        )


def _check_networks(teacher: keras.Model, student: keras.Model) -> None:
    for role, model in (("teacher", teacher), ("student", student)):
        if len(getattr(model, "outputs", None) or []) != 1:
            raise ValueError(
                f"Expected the {role} to be a Functional keras.Model with one output, the logits. "
                f"Received {model!r}."
            )
    if teacher.output_shape[-1] != student.output_shape[-1]:
        raise ValueError(
            "Expected teacher and student to have the same number of classes. Received "
            f"{teacher.output_shape[-1]} ('{teacher.name}') and {student.output_shape[-1]} "
            f"('{student.name}')."
        )
    if teacher.input_shape[1:] != student.input_shape[1:]:
        raise ValueError(
            "Expected teacher and student to take the same input. Received "
            f"{teacher.input_shape[1:]} ('{teacher.name}') and {student.input_shape[1:]} "
            f"('{student.name}')."
        )
