"""The Distiller: trains a student under a frozen teacher with plain `fit`."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from tfkd.distillation.adapters import Adapters
from tfkd.distillation.features import Features
from tfkd.distillation.same_data import check_same_data, check_taught_alike, learn_facts
from tfkd.distillation.targets import Targets
from tfkd.distillation.teachers import Teachers
from tfkd.distillation.terms import CONFIDENCE, PSEUDO_LABELS, DistillationTerms
from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.labels import check_labels
from tfkd.losses.reduction import mean_over_global_batch, replicas_in_sync
from tfkd.models.fingerprint import fingerprint
from tfkd.models.logits import check_finite_weights, check_logits
from tfkd.records.damage import naming_damage_in

if keras.backend.backend() == "tensorflow":
    from tfkd.distillation.tensorflow_step import TensorFlowStep as _Step
else:

    class _Step:  # type: ignore[no-redef]
        """Keras's own step, which calls `call` and `compute_loss`, and needs no more."""


__all__ = ["Distiller"]

Weight = float | Callable[[Any], Any]
"""Weight of a loss: a number, or a schedule from the step (from 0) to the weight."""


class Distiller(_Step, keras.Model):  # type: ignore[misc, valid-type]
    """Trains a student network from labels and from frozen teachers.

    Total loss = compiled loss + student's regularisers + Σ weightᵢ · distillation lossᵢ

    Each step runs every teacher once, in inference mode and outside of the gradient tape, and the
    student once inside of it; all distillation losses are one XLA program. `evaluate` and `predict`
    use the student alone and leave every weight as it was. A teacher never changes and is not among
    the Distiller's weights.

    In the history, `loss` is the total, `student_loss` the compiled loss with the regularisers,
    and each distillation loss has a curve of its own, unweighted, under its name. `val_loss` is the
    student's loss alone, so `val_student_loss` is the same curve and the one to set beside
    `student_loss`.

    Args:
        teacher: Functional `keras.Model` that maps images (N, H, W, C) to logits (N, H, W, K), or
            several of them as `tfkd.distillation.Teachers`. It is not changed. The student itself
            for self-distillation: its layers then learn from other layers of the same pass. None
            for training from labels alone, without distillation losses.
        student: Functional `keras.Model` with the same classes, the one that is trained.
        distillation_losses: One or several `tfkd.losses.DistillationLoss`.
        distillation_loss_weights: Absolute weight of each loss; 1 each by default. A schedule, such
            as a `keras.optimizers.schedules.LearningRateSchedule`, is called with the number of
            steps done, a scalar int32 tensor (use `keras.ops` in one of your own).
        log_gradient_share: Whether to log `gradient_share_student` and `gradient_share_<loss>`: the
            norm of each weighted loss's gradient on the student's weights, over the sum of these
            norms. For finding out which loss leads; it costs a backward pass for every loss. Under
            a strategy, the mean of the replicas' own shares. TensorFlow only.
        pseudo_label_threshold: At pixels without label (see below) the distillation losses see the
            class that the teachers predict, where the mean of their probabilities is at least this;
            elsewhere none. Above 0.5; above 1 for none at all.
        name: Name of the model.

    Raises:
        ValueError: If a layer that a loss names does not exist, if teacher and student differ in
            input or number of classes, or in what they were trained on (`tfkd.models.facts_of`)
            where both know it, if losses and weights do not pair up, if losses do not have
            names of their own, or if the threshold is too low.

    Labels are class indices (N, H, W), (N, H, W, 1), or one-hot (N, H, W, K); or, as
    `CTRecords.stream` gives them, a dictionary of `mask` (such labels) and, if known, `case_id`
    (uint8 (N, L), from `tfkd.records.encode_case_ids`), `slice_index` (int32 (N,)) and `cache`. A
    `sample_weight` of shape (N,) or (N, H, W) weighs the compiled loss as Keras does, and each
    example's distillation losses by its weight, or by the mean weight of its pixels. A class that
    is absent from a slice is no special case: every loss of this library stays finite. A pixel
    whose index is 255 (`tfkd.volumes.IGNORE_LABEL`), or whose one-hot label is zero, has no label:
    the losses and metrics of this library ignore it, and the distillation losses see pseudo labels
    there. So slices without any label, all 255, can be distilled on. Any other index that is that
    of no class, such as -1, ends the training with a `tfkd.errors.TrainingError` that names it; on
    JAX and with `jit_compile=True`, labels in arrays are looked at before the training, and in
    other data such an index makes the losses NaN. A loss that does not stay finite ends the
    training before it reaches the weights, with a `tfkd.errors.TrainingError` that names the loss
    and the batch's slices (TensorFlow only, and not with `jit_compile=True`).

    The losses are computed in float32, whatever the student's precision; with float16 layers in the
    student the optimizer is given loss scaling. Under a `tf.distribute` strategy the losses are
    those of the global batch. With `KERAS_BACKEND=jax` the same class trains on JAX.

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
        teacher: keras.Model | Teachers | None,
        student: keras.Model,
        distillation_losses: DistillationLoss | Sequence[DistillationLoss] = (),
        distillation_loss_weights: Weight | Sequence[Weight] | None = None,
        *,
        log_gradient_share: bool = False,
        pseudo_label_threshold: float = 0.9,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        # float32 whatever the global policy: the images go to each network as they are.
        super().__init__(**{"name": name, "dtype": "float32", **kwargs})
        losses = _as_list(distillation_losses)
        _check_losses(losses, teacher)
        self._several = teacher if isinstance(teacher, Teachers) else None
        self._self_taught = teacher is student
        models = () if teacher is None or self._self_taught else _models_of(teacher)
        _check_network("student", student)
        for model in models:
            _check_network("teacher", model)
            _check_pair(model, student)
        self.student = student
        self.distillation_losses = tuple(losses)
        self.distillation_loss_weights = tuple(_as_weights(distillation_loss_weights, len(losses)))
        self._log_gradient_share = _checked_gradient_share(log_gradient_share)
        self._num_classes = int(student.output_shape[-1])
        taught_at = [loss.teacher_layer_name for loss in losses]
        taps = [loss.student_layer_name for loss in losses]
        self._teacher_features = tuple(Features(model, taught_at) for model in models)
        self._student_features = Features(student, taps + taught_at if self._self_taught else taps)
        channels = self._student_features.channels
        self._adapters = Adapters(
            losses,
            [channels[len(losses) :]]
            if self._self_taught
            else [features.channels for features in self._teacher_features],
            channels[: len(losses)],
        )
        self.pseudo_label_threshold = _checked_threshold(pseudo_label_threshold)
        self._terms = DistillationTerms(losses, self._several, self.pseudo_label_threshold)
        self._trackers = _mean_metrics(["student_loss", *(loss.name for loss in losses)])
        self._share_trackers = _mean_metrics(
            [f"gradient_share_{name}" for name in ("student", *(loss.name for loss in losses))]
            if log_gradient_share
            else []
        )
        self._steps_done = None
        if any(callable(weight) for weight in self.distillation_loss_weights):
            # Not the optimizer's, which is a constant inside a compiled step of JAX.
            self._steps_done = self.add_weight(
                shape=(),
                initializer="zeros",
                dtype="int32",
                trainable=False,
                aggregation="only_first_replica",
                name="distillation_step",
            )
        self.built = True

    @property
    def teacher(self) -> keras.Model | Teachers | None:
        """The frozen teacher, or the teachers."""
        if self._self_taught:
            return self.student
        if self._several is not None:
            return self._several
        models = self.teachers
        return models[0] if models else None

    @property
    def teachers(self) -> tuple[keras.Model, ...]:
        """The networks that run beside the student in a step."""
        return tuple(features.model for features in self._teacher_features)

    def __dir__(self) -> list[str]:
        # Keras saves whatever it finds by its name here, and would write the teacher into a file.
        return [name for name in super().__dir__() if name not in ("teacher", "teachers")]

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *,
        auto_scale_loss: bool = True,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Configures the training as `keras.Model.compile` does.

        Args:
            optimizer: Optimizer; wrapped in a `LossScaleOptimizer` if the student has float16
                layers and `auto_scale_loss` is set.
            loss: Loss on the student's logits and the labels.
            auto_scale_loss: Whether gradients are kept off float16's lower end.
            jit_compile: Whether XLA compiles the whole step. `"auto"` leaves it to Keras on JAX,
                and is False on TensorFlow: the losses are an XLA program anyway, and in a step that
                is one as a whole no loss can be checked for being finite.
            **kwargs: What else `keras.Model.compile` takes.
        """
        if optimizer is not None:
            optimizer = keras.optimizers.get(optimizer)
            scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
            # Keras asks the policy of the model, which says nothing about the student's layers.
            if auto_scale_loss and not scales and _computes_in_float16(self.student):
                name = "loss_scale_optimizer"
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name=name)
        if jit_compile == "auto" and keras.backend.backend() == "tensorflow":
            jit_compile = False
        super().compile(optimizer, loss, auto_scale_loss=False, jit_compile=jit_compile, **kwargs)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does, on data like that which the networks were trained on.

        Of data with `facts`, such as `CTRecords.train` and `stream`, the student keeps these:
        `distiller.student.save(path)` writes them into its file.

        Raises:
            ValueError: If what is known of the data, the teachers or the student differs: the
                preprocessing, the number of classes, or their names.
            TrainingError: If a loss is not finite, or a label is that of no class; names it and the
                slices of the batch.
            RecordError: If the data are of records with a damaged shard; names it and its cases.
        """
        validation = kwargs.get("validation_data")
        for data in (x, validation):
            self.check_data(data)
        self._check_array(args[0] if args else kwargs.get("y"))
        if isinstance(validation, (tuple, list)) and len(validation) > 1:
            self._check_array(validation[1])
        learn_facts(x, self.student)
        with naming_damage_in(x, validation):
            return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates the student as `keras.Model.evaluate` does; raises as `fit`."""
        self.check_data(x)
        self._check_array(args[0] if args else kwargs.get("y"))
        with naming_damage_in(x):
            return super().evaluate(x, *args, **kwargs)

    def _check_array(self, y: Any) -> None:
        """Looks at labels in an array at once, where no step can refuse them."""
        if keras.backend.backend() == "tensorflow" and not self.jit_compile:
            return
        masks = y.get("mask") if isinstance(y, dict) else y
        if isinstance(masks, np.ndarray):
            check_labels(masks, self._num_classes)

    def check_data(self, data: Any) -> None:
        """Raises a `ValueError` if data with `facts` is not what the networks were trained on."""
        check_same_data(data, self.teachers, self.student)

    def make_train_function(self, force: bool = False) -> Any:
        """Keras's hook before the first step of a `fit`."""
        if force or self.train_function is None:
            # By what a cache must have been made with. Not earlier: weights may be loaded later.
            self._terms.made_with = [fingerprint(model) for model in self.teachers]
        return super().make_train_function(force)

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Those of the student; on JAX those of the teachers too, and only here.

        A compiled step of JAX takes whatever is not handed to it as a constant, which 34 million
        weights should not be.
        """
        variables = super().non_trainable_variables
        if keras.backend.backend() == "jax":
            taught_by = {id(v): v for model in self.teachers for v in model.variables}
            own = {id(v) for v in [*variables, *self.trainable_variables]}
            variables = variables + [v for key, v in taught_by.items() if key not in own]
        return variables

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The student's logits (N, H, W, K); in JAX's training step, what `compute_loss` needs."""
        if training and keras.backend.backend() != "tensorflow":
            # Keras's own step hands on what this returns to `compute_loss`.
            return self._student_pass(inputs)
        # Flattened, since a model made as keras.Model([image], [logits]) returns a list.
        (logits,) = keras.tree.flatten(self.student(inputs, training=training))
        return logits

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Total loss of a training pass, or the student's loss where `y_pred` is its logits."""
        if not isinstance(y_pred, dict):
            loss = self._student_loss(x, y, y_pred, sample_weight, training)
            self._track([loss], self._count(x))
            return loss
        parts = self._loss_parts(x, y, y_pred, sample_weight)
        total = sum(self._weighted(parts))
        self._track(parts, self._count(x))
        self._count_step()
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The compiled metrics, on the student's logits."""
        logits = y_pred["logits"] if isinstance(y_pred, dict) else y_pred
        logs = super().compute_metrics(x, Targets.of(y).mask, logits, sample_weight)
        if not self.distillation_losses:
            logs.pop("student_loss", None)  # the same as the loss
        return logs

    def test_step(self, *arguments: Any) -> Any:
        """One step of evaluation; the student alone, its loss and the compiled metrics."""
        logs = super().test_step(*arguments)
        logs, state = logs if isinstance(logs, tuple) else (logs, None)  # with its state on JAX
        # What only training computes would show as a curve of zeros.
        for tracker in (*self._trackers[1:], *self._share_trackers):
            logs.pop(tracker.name, None)
        return logs if state is None else (logs, state)

    def summarize_teacher(
        self, x: Any, masks: Any, names: Sequence[str], keep_pseudo_labels: bool = False
    ) -> dict[str, Any]:
        """What the losses need of the teachers for these slices; see `cache_teacher`.

        Args:
            x: Images (N, H, W, C).
            masks: Labels (N, H, W).
            names: Fingerprint of each teacher, for the names.
            keep_pseudo_labels: Whether to return those too, for slices with pixels without label.

        Returns:
            Named tensors, one row per slice.
        """
        passes = self._teach(x)
        return self._terms.summarize(
            names,
            passes["tensors"],
            passes["logits"],
            masks,
            self._num_classes,
            keep_pseudo_labels,
        )

    def get_config(self) -> dict[str, Any]:
        """Not available: the Distiller is a way to train, the student is what is kept."""
        raise NotImplementedError(
            "A Distiller is not saved, since the file would hold the teacher. Save the student "
            "with `distiller.student.save(path)`, or the state of the training with "
            "`distiller.save_weights(path)` or `tfkd.callbacks.fit_resumable`."
        )

    def _teach(self, x: Any) -> dict[str, Any]:
        """Every teacher's logits and tensors, in inference mode."""
        passes = [features(x, training=False) for features in self._teacher_features]
        return {"logits": [one[0] for one in passes], "tensors": [one[1] for one in passes]}

    def _student_pass(self, x: Any) -> dict[str, Any]:
        """The student's logits and tensors; its own tensors as the teacher's where it is both."""
        logits, tensors = self._student_features(x, training=True)
        own = self._adapters(tensors[: len(self.distillation_losses)])
        outputs = {"logits": logits, "student": own}
        if self._self_taught:
            taught_by = tensors[len(self.distillation_losses) :]
            outputs["teacher"] = {"logits": [logits], "tensors": [taught_by]}
        return outputs

    def _student_loss(self, x: Any, y: Any, logits: Any, weight: Any, training: bool) -> Any:
        mask = Targets.of(y).mask
        return super().compute_loss(x, mask, logits, weight, training=training)

    def _loss_parts(self, x: Any, y: Any, outputs: dict[str, Any], weight: Any) -> list[Any]:
        """The student's loss and each distillation loss, unweighted, as scalars of this replica."""
        student_loss = self._student_loss(x, y, outputs["logits"], weight, training=True)
        if not self.distillation_losses:
            return [student_loss]
        targets = Targets.of(y)
        facts: dict[str, Any] = {"case_id": targets.case_id if self._several else None}
        if targets.cache is not None:
            teachers: Any = self._terms.from_cache(targets.cache)
            facts["confidence"] = targets.cache.get(CONFIDENCE)
            facts["pseudo"] = targets.cache.get(PSEUDO_LABELS)
        else:
            passes = outputs.get("teacher") or self._teach(x)
            teachers = passes["tensors"]
            facts["logits"] = passes["logits"]
        values = self._terms(teachers, outputs["student"], targets.mask, self._num_classes, **facts)
        terms = [mean_over_global_batch(_weighted_examples(value, weight)) for value in values]
        return [student_loss, *terms]

    def _weights(self) -> list[Any]:
        """The weight of each part now; that of the student's loss is 1."""
        return [1.0] + [
            ops.cast(weight(self._steps_done), "float32") if callable(weight) else weight
            for weight in self.distillation_loss_weights
        ]

    def _weighted(self, parts: list[Any]) -> list[Any]:
        return [weight * part for weight, part in zip(self._weights(), parts, strict=True)]

    def _count_step(self) -> None:
        if self._steps_done is not None:
            self._steps_done.assign_add(1)

    @staticmethod
    def _count(x: Any) -> Any:
        """Number of examples; images may come in a dictionary, as a Functional model's input."""
        return ops.shape(keras.tree.flatten(x)[0])[0]

    def _track(self, parts: list[Any], count: Any) -> None:
        replicas = replicas_in_sync()
        for tracker, part in zip(self._trackers, parts, strict=False):  # the student's first
            # Undo the division of mean_over_global_batch: a curve shows the loss, not its share.
            tracker.update_state(part * replicas, sample_weight=count)


def _mean_metrics(names: Sequence[str]) -> list[keras.metrics.Metric]:
    return [keras.metrics.Mean(name=name) for name in names]


def _computes_in_float16(model: keras.Model) -> bool:
    return any(layer.compute_dtype == "float16" for layer in model._flatten_layers())


def _weighted_examples(values: Any, sample_weight: Any) -> Any:
    """Values (N,) times the weight of each example."""
    if sample_weight is None:
        return values
    weight = ops.cast(sample_weight, "float32")
    if len(weight.shape) > 1:
        weight = ops.mean(weight, axis=tuple(range(1, len(weight.shape))))
    return values * weight


def _as_list(losses: DistillationLoss | Sequence[DistillationLoss]) -> list[DistillationLoss]:
    return [losses] if isinstance(losses, DistillationLoss) else list(losses)


def _as_weights(weights: Weight | Sequence[Weight] | None, count: int) -> list[Weight]:
    if weights is None:
        return [1.0] * count
    single = isinstance(weights, Real) or callable(weights)
    listed: list[Any] = [weights] if single else list(weights)  # type: ignore[arg-type]
    if len(listed) != count:
        raise ValueError(
            f"Expected one weight per distillation loss, {count} in all. Received {listed}."
        )
    return [weight if callable(weight) else float(weight) for weight in listed]


def _checked_gradient_share(wanted: bool) -> bool:
    if wanted and keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Expected the TensorFlow backend for log_gradient_share=True. Received "
            f"{keras.backend.backend()!r}."
        )
    return wanted


def _checked_threshold(threshold: float) -> float:
    if not threshold > 0.5:
        raise ValueError(
            "Expected pseudo_label_threshold above 0.5, which no two classes can reach at once. "
            f"Received {threshold}."
        )
    return float(threshold)


def _models_of(teacher: keras.Model | Teachers) -> tuple[keras.Model, ...]:
    return teacher.models if isinstance(teacher, Teachers) else (teacher,)


def _check_losses(losses: list[DistillationLoss], teacher: keras.Model | Teachers | None) -> None:
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
    taken = sorted({"loss", "student_loss"} & set(names))
    if taken:
        raise ValueError(
            f"Expected other names of distillation losses than those of the total and the "
            f"student's loss. Received {taken}."
        )
    if losses and teacher is None:
        raise ValueError(f"Expected a teacher for the distillation losses {names}. Received None.")


def _check_network(role: str, model: keras.Model) -> None:
    check_logits(model, role)
    check_finite_weights(model, role)


def _check_pair(teacher: keras.Model, student: keras.Model) -> None:
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
    check_taught_alike(teacher, student)
