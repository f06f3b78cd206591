"""All distillation losses of a step as one XLA program."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from keras import ops

from tfkd.distillation.pseudo_labels import encode_pseudo_labels, fill_labels, pseudo_labels
from tfkd.distillation.teachers import Teachers
from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.labels import one_hot_labels
from tfkd.losses.reduction import replicas_in_sync
from tfkd.losses.xla import xla_compiled

__all__ = ["DistillationTerms"]

CONFIDENCE = "confidence"
PSEUDO_LABELS = "pseudo_labels"


class DistillationTerms:
    """The distillation losses, evaluated together.

    One compiled function holds all of them: XLA fuses what they share, such as the one-hot labels
    and the student's side of several teachers, and the step makes one call. It has no variables, so
    that it compiles under every `tf.distribute` strategy as well, where compiling the whole step
    fails. On other backends the step is compiled as a whole by Keras.

    Args:
        losses: Distillation losses.
        teachers: The teachers whose shares weigh the values; None for a single one.
        pseudo_label_threshold: See `pseudo_labels`, which the losses see where there is no label.
    """

    def __init__(
        self,
        losses: Sequence[DistillationLoss],
        teachers: Teachers | None = None,
        pseudo_label_threshold: float = 0.9,
    ) -> None:
        self._losses = tuple(losses)
        self._teachers = teachers
        self._threshold = pseudo_label_threshold
        self._compiled = xla_compiled(self._compute)
        self.made_with: list[str] = []
        """Fingerprint of each teacher, by which a cache is known to be theirs."""

    def __call__(
        self,
        teachers: Sequence[Sequence[Any]],
        student: Sequence[Sequence[Any]],
        labels: Any,
        num_classes: int,
        *,
        logits: Sequence[Any] = (),
        confidence: Any = None,
        pseudo: Any = None,
        case_id: Any = None,
    ) -> list[Any]:
        """Computes each loss for each example.

        Args:
            teachers: For each teacher, one entry per loss: its tensor, or its summary, a dict.
            student: For each teacher, one student tensor per loss.
            labels: Class indices or one-hot masks; see `one_hot_labels`.
            num_classes: Number of classes K.
            logits: Each teacher's logits, for what is not given of the next two.
            confidence: Confidence (N, teachers), where it has been computed before.
            pseudo: What `encode_pseudo_labels` returned, where it has been computed before.
            case_id: Case of each example (N, L) uint8, or None.

        Returns:
            One tensor of shape (N,), float32, per loss.
        """
        passed: list[list[Any]] = [list(one) for one in teachers]
        coupled = any(loss.couples_examples(num_classes) for loss in self._losses)
        # What the replicas exchange, they cannot exchange from within an XLA program.
        compute = self._compute if coupled and replicas_in_sync() > 1 else self._compiled
        return compute(
            passed,
            [list(one) for one in student],
            labels,
            num_classes,
            list(logits),
            confidence,
            pseudo,
            case_id,
        )

    def summarize(
        self,
        names: Sequence[str],
        teachers: Sequence[Sequence[Any]],
        logits: Sequence[Any],
        labels: Any,
        classes: int,
        keep_pseudo_labels: bool = False,
    ) -> dict[str, Any]:
        """What the losses need of the teachers, by the names of a teacher cache.

        Args:
            names: Fingerprint of each teacher.
            teachers: For each teacher, its tensor for each loss.
            logits: Each teacher's logits.
            labels: Class indices or one-hot masks.
            classes: Number of classes K.
            keep_pseudo_labels: Whether `pseudo_labels` are among the tensors.

        Returns:
            Tensors by name, one row per example.
        """
        known = one_hot_labels(labels, classes)
        pseudo = pseudo_labels(logits, self._threshold)
        labels = fill_labels(known, pseudo)
        named: dict[str, Any] = {}
        for teacher, tensors in zip(names, teachers, strict=True):
            for loss, tensor in zip(self._losses, tensors, strict=True):
                summary = loss.summarize(ops.cast(tensor, "float32"), labels)
                prefix = self._prefix(teacher, loss)
                named |= {f"{prefix}{key}": value for key, value in summary.items()}
        if self._teachers is not None:
            named[CONFIDENCE] = self._teachers.confidence(logits, known)
        if keep_pseudo_labels:
            named[PSEUDO_LABELS] = encode_pseudo_labels(known, pseudo)
        return named

    def from_cache(self, cache: dict[str, Any]) -> list[list[dict[str, Any]]]:
        """The summaries of the teachers, from the tensors that `summarize` named.

        Raises:
            ValueError: If the cache is of other teachers or losses.
        """
        return [
            [_of_cache(cache, self._prefix(teacher, loss)) for loss in self._losses]
            for teacher in self.made_with
        ]

    def _prefix(self, teacher: str, loss: DistillationLoss) -> str:
        """Name of a summary: of which teacher, for which loss, and with which settings."""
        weighting = None if self._teachers is None else self._teachers.weighting
        settings = {"weighting": weighting, **loss.get_config()}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        return f"{teacher[:16]}/{loss.name}/{digest.hexdigest()[:8]}/"

    def _compute(
        self,
        teachers: list[list[Any]],
        student: list[list[Any]],
        labels: Any,
        num_classes: int,
        logits: list[Any],
        confidence: Any,
        pseudo: Any,
        case_id: Any,
    ) -> list[Any]:
        labels = one_hot_labels(labels, num_classes)
        shares = None
        if self._teachers is not None:
            if confidence is None:
                confidence = self._teachers.confidence(logits, labels)
            shares = ops.stop_gradient(self._teachers.shares(confidence, case_id))
        # Last, as a teacher's confidence is about labels that do not come from it.
        labels = self._filled(labels, logits, pseudo)
        values = []
        for k, loss in enumerate(self._losses):
            # What the teachers share of the student's side, XLA computes once.
            each = [
                loss.compare(
                    _detached(_summary(loss, one[k], labels)), ops.cast(own[k], "float32"), labels
                )
                for one, own in zip(teachers, student, strict=True)
            ]
            values.append(
                each[0] if shares is None else ops.sum(ops.stack(each, axis=-1) * shares, axis=-1)
            )
        return values

    def _filled(self, labels: Any, logits: list[Any], pseudo: Any) -> Any:
        """The labels, with pseudo labels where there are none."""
        if pseudo is not None:
            return fill_labels(labels, one_hot_labels(pseudo, labels.shape[-1]))
        if not logits:  # of a cache for records of which every pixel has a label
            return labels

        def fill() -> Any:
            return fill_labels(labels, pseudo_labels(logits, self._threshold))

        # Most batches have all their labels, and shall not pay for this. Without a gradient through
        # it, as XLA has none for a condition.
        missing = ops.any(ops.sum(labels, axis=-1) <= 0)
        return ops.stop_gradient(ops.cond(missing, fill, lambda: labels))


def _of_cache(cache: dict[str, Any], prefix: str) -> dict[str, Any]:
    found = {
        name.removeprefix(prefix): value for name, value in cache.items() if name.startswith(prefix)
    }
    if not found:
        raise ValueError(
            f"Expected a teacher cache that holds {prefix[:-1]!r}. It has "
            f"{sorted({name.rpartition('/')[0] for name in cache} - {''})}, of other teachers or "
            "losses. Make one with `tfkd.distillation.cache_teacher` from this Distiller."
        )
    return found


def _summary(loss: DistillationLoss, entry: Any, labels: Any) -> dict[str, Any]:
    if isinstance(entry, dict):
        return entry
    return loss.summarize(ops.stop_gradient(ops.cast(entry, "float32")), labels)


def _detached(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: ops.stop_gradient(value) for key, value in summary.items()}
