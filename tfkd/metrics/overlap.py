"""Voxel counts and the Dice coefficient, in NumPy, with the empty mask spelled out."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfkd.volumes import IGNORE_LABEL

__all__ = [
    "DEFAULT_EMPTY",
    "EmptyPolicy",
    "check_empty_policy",
    "confusion_counts",
    "describe_empty_policy",
    "dice_from_counts",
    "dice_per_class",
]

EmptyPolicy = Literal["exclude", "one", "zero"]
"""What a class scores in a case where neither the truth nor the prediction holds it."""

DEFAULT_EMPTY: EmptyPolicy = "exclude"

_SCORE_WHEN_EMPTY: dict[str, float] = {"exclude": np.nan, "one": 1.0, "zero": 0.0}
_DESCRIPTION = {
    "exclude": "is left out of the mean of that class",
    "one": "scores 1 for that class",
    "zero": "scores 0 for that class",
}


def check_empty_policy(empty: str) -> None:
    """Refuses a policy that is not one of `EmptyPolicy`.

    Raises:
        ValueError: for any other word.
    """
    if empty not in get_args(EmptyPolicy):
        raise ValueError(
            f"Expected `empty` to be one of {get_args(EmptyPolicy)}. Received: empty={empty!r}"
        )


def describe_empty_policy(empty: EmptyPolicy = DEFAULT_EMPTY) -> str:
    """States the policy in two sentences, for tables and reports.

    Args:
        empty: the policy.

    Returns:
        Plain text.
    """
    check_empty_policy(empty)
    return (
        "A case in which neither the truth nor the prediction holds a class "
        f'{_DESCRIPTION[empty]} (empty="{empty}"). A false positive on an empty truth scores 0 '
        "and a missed target scores 0, so a miss can never improve a score."
    )


def confusion_counts(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], num_classes: int
) -> NDArray[np.int64]:
    """Counts true positives, false positives and false negatives of every class.

    Works slice by slice, so that a whole volume needs no more memory than its two masks.

    Args:
        truth: integer labels in [0, num_classes), any shape; a volume is (Z, Y, X). Voxels of
            `IGNORE_LABEL`, of which nobody knows what they show, are not counted.
        prediction: integer labels in [0, num_classes), the same shape.
        num_classes: number of classes, background included.

    Returns:
        int64 array (num_classes, 3) with the columns tp, fp, fn, in voxels. A class that is in
        neither mask has (0, 0, 0).

    Raises:
        ValueError: on different shapes, a type that is not integer, or a label out of range.

    Example:
        >>> confusion_counts(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
        array([[1, 1, 0],
               [1, 0, 1]])
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        raise ValueError(
            "Expected truth and prediction of one shape. "
            f"Received: truth {truth.shape}, prediction {prediction.shape}"
        )
    truth, prediction = np.atleast_1d(truth), np.atleast_1d(prediction)
    _check_labels("truth", _known(truth, truth, num_classes), num_classes)
    _check_labels("prediction", prediction, num_classes)
    pair_counts = np.zeros(num_classes * num_classes, np.int64)
    # One-dimensional input is one slice; else bincount's int64 copy covers one slice at a time.
    slices = zip(truth, prediction, strict=True) if truth.ndim > 1 else [(truth, prediction)]
    for true_slice, predicted_slice in slices:
        predicted_slice = _known(predicted_slice, true_slice, num_classes)
        true_slice = _known(true_slice, true_slice, num_classes)
        pairs = true_slice.astype(np.int64) * num_classes + predicted_slice.astype(np.int64)
        pair_counts += np.bincount(pairs.ravel(), minlength=num_classes * num_classes)
    matrix = pair_counts.reshape(num_classes, num_classes)
    true_positives = np.diag(matrix)
    return np.stack(
        [true_positives, matrix.sum(axis=0) - true_positives, matrix.sum(axis=1) - true_positives],
        axis=1,
    )


def _known(
    labels: NDArray[np.integer], truth: NDArray[np.integer], num_classes: int
) -> NDArray[np.integer]:
    """The labels where the truth says something; all of them, unflattened, where it always does."""
    ignored = truth == IGNORE_LABEL
    return labels[~ignored] if num_classes <= IGNORE_LABEL and ignored.any() else labels


def _check_labels(name: str, labels: NDArray[np.integer], num_classes: int) -> None:
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"Expected {name} to hold integer labels. Received: dtype {labels.dtype}. "
            "Take the argmax of logits first."
        )
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"Expected labels of {name} in [0, {num_classes}). "
            f"Received: {int(labels.min())} to {int(labels.max())}"
        )


def dice_from_counts(
    tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, empty: EmptyPolicy = DEFAULT_EMPTY
) -> NDArray[np.float64]:
    """Dice coefficient, 2·tp / (2·tp + fp + fn).

    Args:
        tp: true positives, any shape.
        fp: false positives, the same shape.
        fn: false negatives, the same shape.
        empty: the score where tp = fp = fn = 0: NaN for "exclude" (the default), 1 for "one",
            0 for "zero". It touches nothing else: a false positive on an empty truth is 0 and a
            miss is 0 under every policy.

    Returns:
        float64 array in [0, 1], of the shape of the counts; NaN only where the policy says so.

    Raises:
        ValueError: for an unknown policy.

    Example:
        >>> dice_from_counts([3, 0, 0], [1, 5, 0], [1, 0, 0])
        array([0.75, 0.  ,  nan])

    Reference:
        Dice, "Measures of the Amount of Ecologic Association Between Species", Ecology 26, 1945.
    """
    check_empty_policy(empty)
    doubled = 2 * np.asarray(tp, np.float64)
    total = doubled + np.asarray(fp, np.float64) + np.asarray(fn, np.float64)
    score = np.full(total.shape, _SCORE_WHEN_EMPTY[empty])
    return np.divide(doubled, total, out=score, where=total > 0)


def dice_per_class(
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    num_classes: int,
    empty: EmptyPolicy = DEFAULT_EMPTY,
) -> NDArray[np.float64]:
    """Dice coefficient of every class of one case.

    Args:
        truth: integer labels in [0, num_classes), any shape.
        prediction: integer labels in [0, num_classes), the same shape.
        num_classes: number of classes, background included.
        empty: the score of a class that is in neither mask, see `dice_from_counts`; by default NaN.

    Returns:
        float64 array (num_classes,) in [0, 1], class 0 = background.

    Raises:
        ValueError: as `confusion_counts` and `dice_from_counts`.
    """
    tp, fp, fn = confusion_counts(truth, prediction, num_classes).T
    return dice_from_counts(tp, fp, fn, empty=empty)
