"""Several teachers: who says how much about which slice."""

from collections.abc import Collection, Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from tfkd.records.case_ids import encode_case_ids

__all__ = ["Teachers"]

Weighting = Literal["mean", "confidence"]


class Teachers:
    r"""Frozen networks that teach together.

    Each distillation loss is the mean of its values against the single teachers, weighted by their
    shares: $L = \sum_t a_t L_t$, with $\sum_t a_t = 1$ for every slice. For the prediction map,
    whose divergence is linear in the teacher's probabilities, and for the squared distances of the
    other losses, the gradient is that of a single teacher with the mean of the probabilities, maps
    and contrasts; no two teachers need layers of equal size.

    The shares are equal (`"mean"`), or proportional to how sure each teacher is of the truth
    (`"confidence"`): $c_t$ is its mean probability of the labelled class, averaged over the pixels
    of each region first and then over the regions of the slice, so that a teacher which misses a
    small tumour loses its say although most pixels are right.

    Args:
        models: Functional models with the same input and classes.
        weighting: `"mean"` or `"confidence"`.
        trained_on: For each model, the ids of the cases it was trained on. A slice is then taught
            only by the models that did not see its case, whose say is honest there; one that all
            have seen is learnt from its labels alone. Such training needs batches with `case_id`.

    Raises:
        ValueError: If there is no model, or `trained_on` does not pair up with the models.

    References:
        Weighting teachers by their error on the labels: Zhang et al., "Confidence-aware
        Multi-teacher Knowledge Distillation", ICASSP 2022. Ours differs in the mean over regions.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        weighting: Weighting = "mean",
        trained_on: Sequence[Collection[str]] | None = None,
    ) -> None:
        if any(isinstance(cases, str) for cases in trained_on or ()):
            raise ValueError(
                "Expected trained_on to hold a collection of case ids for each teacher. Received "
                f"{trained_on!r}; write [['case_1'], ['case_2', 'case_3']]."
            )
        self.models = tuple(models)
        self.weighting = weighting
        self.trained_on = None if trained_on is None else tuple(map(frozenset, trained_on))
        if not self.models:
            raise ValueError("Expected at least one teacher. Received none.")
        if weighting not in get_args(Weighting):
            raise ValueError(
                f"Expected weighting to be one of {get_args(Weighting)}. Received {weighting!r}."
            )
        if self.trained_on is not None and len(self.trained_on) != len(self.models):
            raise ValueError(
                f"Expected trained_on for each of the {len(self.models)} teachers. Received "
                f"{len(self.trained_on)}."
            )

    def confidence(self, logits: Sequence[Any], labels: Any) -> Any:
        """How sure each teacher is of the truth.

        Args:
            logits: Each teacher's logits (N, H, W, K).
            labels: One-hot labels (N, H, W, K); a class that is absent from a slice plays no part.

        Returns:
            (N, teachers), float32, in [0, 1]; equal for all without `"confidence"`.
        """
        if self.weighting == "mean":
            return ops.ones((ops.shape(labels)[0], len(self.models)))
        area = ops.sum(labels, axis=(1, 2))
        regions = ops.sum(ops.cast(area > 0, "float32"), axis=-1)

        def of_one(one: Any) -> Any:
            probability = ops.softmax(ops.cast(one, "float32"), axis=-1)
            per_region = ops.sum(probability * labels, axis=(1, 2)) / ops.maximum(area, 1.0)
            return ops.sum(per_region, axis=-1) / ops.maximum(regions, 1.0)

        return ops.stack([of_one(one) for one in logits], axis=-1)

    def shares(self, confidence: Any, case_id: Any) -> Any:
        """Each teacher's share a of each slice.

        Args:
            confidence: What `confidence` returned, (N, teachers).
            case_id: Case of each slice, (N, L) uint8, as `tfkd.records.encode_case_ids` makes it.

        Returns:
            (N, teachers), float32; rows add up to 1, or to 0 where no teacher may speak.

        Raises:
            ValueError: If `trained_on` is given and the batch does not say whose slices it holds.
        """
        weight = confidence + 1e-6  # a slice of which all are sure that it is wrong
        if self.trained_on is not None:
            if case_id is None:
                raise ValueError(
                    "Expected batches with `case_id`, as teachers speak only about cases that they "
                    "were not trained on. Received labels alone; train on `CTRecords.stream`."
                )
            weight = weight * self._unseen(case_id)
        return weight / ops.maximum(ops.sum(weight, axis=-1, keepdims=True), 1e-12)

    def _unseen(self, case_id: Any) -> Any:
        """1 where a teacher was not trained on the slice's case, (N, teachers)."""
        length = int(case_id.shape[1])
        case_id = ops.cast(case_id, "int32")
        columns = []
        for cases in self.trained_on or ():
            # A longer name than any of the data cannot be among the data.
            names = [name for name in sorted(cases) if len(name.encode()) <= length]
            table = encode_case_ids(names, length).astype(np.int32).reshape(len(names), length)
            equal = ops.all(ops.equal(case_id[:, None, :], table[None]), axis=-1)
            columns.append(1.0 - ops.cast(ops.any(equal, axis=-1), "float32"))
        return ops.stack(columns, axis=-1)
