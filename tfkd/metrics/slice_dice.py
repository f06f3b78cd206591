"""Dice over the slices of an epoch, as a Keras metric."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfkd.losses.labels import check_labels, is_label
from tfkd.losses.pixel_weight import as_pixel_weight
from tfkd.losses.xla import xla_compiled
from tfkd.volumes import IGNORE_LABEL

__all__ = ["SliceDice"]


@keras.saving.register_keras_serializable(package="tfkd")
class SliceDice(keras.metrics.Metric):
    """Mean Dice of the foreground classes, from the counts of all slices seen since the last reset.

    Counts are added up before the division (global Dice), so that the value does not depend on the
    batch size and an empty slice with no false positive changes nothing:

        Dice_k = 2·Σ w·[t = k][p = k] / (Σ w·[t = k] + Σ w·[p = k]),    result = mean over k ≥ 1

    with t the labels, p = argmax of the logits (or, of two classes, what the threshold says) and w
    the sample weight. It guides training; the
    figures to quote come from whole volumes (`tfkd.report.evaluate`).

    Empty masks: a class that is in neither the labels nor the predictions of any slice is left out
    of the mean; NaN if no foreground class is left. A class only predicted, or only missed,
    scores 0.

    Args:
        num_classes: number of classes K ≥ 2, background included.
        name: name of the metric in logs.
        dtype: as in Keras.
        threshold: with two classes, the probability in (0, 1) above which a pixel is foreground, as
            a protocol may have it; it takes y_pred for logits. None for the highest class.

    The counting is an XLA program on TensorFlow, compiled once for each shape of a batch.

    Raises:
        ValueError: for fewer than two classes, or a threshold that is out of range or comes with
            more than two.

    Example:
        >>> metric = SliceDice(num_classes=2)
        >>> labels = np.array([[[0, 1], [1, 1]]])            # (1, 2, 2)
        >>> logits = np.array([[[[9, 0], [0, 9]], [[0, 9], [9, 0]]]], "float32")
        >>> float(metric(labels, logits))                    # 2·2 / (3 + 2)
        0.8
    """

    def __init__(
        self,
        num_classes: int,
        name: str = "slice_dice",
        dtype: Any = None,
        *,
        threshold: float | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if num_classes < 2:
            raise ValueError(
                "Expected num_classes of at least 2, background included. "
                f"Received: num_classes={num_classes}"
            )
        if threshold is not None and (num_classes != 2 or not 0 < threshold < 1):
            raise ValueError(
                "Expected a threshold in (0, 1), for two classes. "
                f"Received: threshold={threshold}, num_classes={num_classes}"
            )
        self.num_classes = num_classes
        self.threshold = threshold
        self._direction = "up"
        shape = (num_classes,)
        self.shared = self.add_weight(shape=shape, initializer="zeros", name="shared")
        self.labelled = self.add_weight(shape=shape, initializer="zeros", name="labelled")
        self.predicted = self.add_weight(shape=shape, initializer="zeros", name="predicted")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: integer labels, (N, H, W) or (N, H, W, 1), or one-hot (N, H, W, K). A pixel
                with the label 255 (`tfkd.volumes.IGNORE_LABEL`), or with zeros only, has no label
                and counts for nothing.
            y_pred: logits, or probabilities if there is no threshold, (N, H, W, K).
            sample_weight: None, or weights ≥ 0 of shape (N,), (N, 1), (N, H, W) or (N, H, W, 1).

        Raises:
            ValueError: if y_pred has another number of classes, or a label is neither in [0, K)
                nor 255. In a compiled step of TensorFlow that is an `InvalidArgumentError`; where
                XLA compiles the step, and on JAX, the result is NaN.
        """
        if y_pred.shape[-1] != self.num_classes:
            raise ValueError(
                f"Expected y_pred of shape (N, H, W, {self.num_classes}). "
                f"Received: y_pred.shape={tuple(y_pred.shape)}"
            )
        y_true = check_labels(ops.convert_to_tensor(y_true), self.num_classes)
        if len(y_true.shape) == len(y_pred.shape):
            if y_true.shape[-1] == self.num_classes:
                labelled = ops.any(ops.cast(y_true, "bool"), axis=-1)
                y_true = ops.where(labelled, ops.argmax(y_true, axis=-1), IGNORE_LABEL)
            else:
                y_true = ops.squeeze(y_true, axis=-1)
        if self.threshold is not None:  # so that argmax changes sides at the threshold
            advantage = float(np.log((1 - self.threshold) / self.threshold))
            y_pred = ops.cast(y_pred, "float32") + ops.convert_to_tensor(
                [0.0, advantage], "float32"
            )
        counts = _counts(y_true, y_pred, sample_weight)
        for total, counted in zip(
            (self.shared, self.labelled, self.predicted), counts, strict=True
        ):
            total.assign_add(ops.cast(counted, self.dtype))

    def result(self) -> Any:
        """Mean Dice of the foreground classes seen so far, in [0, 1]; NaN if there are none."""
        total = (self.labelled + self.predicted)[1:]
        present = ops.cast(total > 0, self.dtype)
        dice = 2.0 * self.shared[1:] / ops.where(total > 0, total, ops.ones_like(total))
        return ops.sum(dice * present) / ops.sum(present)

    def get_config(self) -> dict[str, Any]:
        """Arguments to build the metric again."""
        own = {"num_classes": self.num_classes, "threshold": self.threshold}
        return {**super().get_config(), **own}


@xla_compiled  # whose argmax takes a tenth of the operation's time
def _counts(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Weighted pixels of each class (K,): rightly predicted, labelled, predicted."""
    # The classes first: loops over pixels are vectorised, loops over a few classes not.
    classes = ops.reshape(ops.arange(y_pred.shape[-1], dtype="int32"), (-1, 1, 1, 1))
    truth = ops.equal(ops.cast(y_true, "int32"), classes)
    found = ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), classes)
    weight = ops.cast(ops.any(truth, axis=0), "float32")  # 0 without a label
    good = ops.all(is_label(y_true, y_pred.shape[-1]))
    if sample_weight is not None:
        weight = weight * as_pixel_weight(sample_weight)
    shared, labelled, predicted = (
        ops.sum(ops.where(one, weight, 0.0), axis=(1, 2, 3)) + ops.where(good, 0.0, float("nan"))
        for one in (ops.logical_and(truth, found), truth, found)
    )
    return shared, labelled, predicted
