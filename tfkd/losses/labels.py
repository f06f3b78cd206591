"""Label maps as one-hot masks, whichever way the user holds them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np
from keras import ops

from tfkd.volumes import IGNORE_LABEL

__all__ = [
    "check_labels",
    "extreme_labels",
    "is_label",
    "labels_are_checked",
    "one_hot_labels",
    "wrong_label_text",
]

_checked: ContextVar[bool] = ContextVar("labels_are_checked", default=False)

# Slices that are looked at together, so that those of a whole cohort need no second memory.
_ROWS = 64


def one_hot_labels(labels: Any, num_classes: int) -> Any:
    """Returns label maps as one-hot masks in float32.

    Args:
        labels: Integer class indices of shape (N, H, W) or (N, H, W, 1), of any dtype, or masks
            that are one-hot (or soft) already, of shape (N, H, W, `num_classes`). A pixel whose
            index is 255 (`tfkd.volumes.IGNORE_LABEL`), or that is 0 for every class, belongs to no
            class: every loss ignores it. One of any other index outside 0 … `num_classes` − 1 is a
            mistake, and becomes NaN: in a compiled function there is no other way to say so.
        num_classes: Number of classes K, background included; at least 2.

    Returns:
        Tensor of shape (N, H, W, K), float32.

    Raises:
        ValueError: If the shape is none of the above, or where the values can be seen, if an index
            is a mistake.
    """
    labels = ops.convert_to_tensor(labels)
    shape = tuple(labels.shape)
    if num_classes < 2:
        raise ValueError(
            f"Expected at least 2 classes, background included. Received {num_classes}."
        )
    if len(shape) == 4 and shape[-1] == num_classes:
        return ops.cast(labels, "float32")
    if len(shape) == 4 and shape[-1] == 1:
        labels = labels[..., 0]
    elif len(shape) != 3:
        raise ValueError(
            f"Expected labels of shape (N, H, W), (N, H, W, 1) or (N, H, W, {num_classes}). "
            f"Received {shape}."
        )
    if _is_concrete(labels):
        check_labels(labels, num_classes)
    one_hot = ops.one_hot(ops.cast(labels, "int32"), num_classes, dtype="float32")
    return ops.where(is_label(labels, num_classes)[..., None], one_hot, float("nan"))


def is_label(labels: Any, num_classes: int) -> Any:
    """Where class indices are those of a class, or `IGNORE_LABEL`; a boolean of their shape.

    A number between two labels, such as 0.99998, is none: as an index it would be the lower one.
    """
    labels = _comparable(labels)
    known = ops.logical_and(labels >= 0, labels < num_classes)
    if "float" in keras.backend.standardize_dtype(labels.dtype):
        known = ops.logical_and(known, ops.equal(labels, ops.floor(labels)))
    return ops.logical_or(known, ops.equal(labels, IGNORE_LABEL))


def _comparable(labels: Any) -> Any:
    """Labels in a type that holds all of them and any number of classes."""
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if "float" in dtype or dtype == "int64":
        return labels
    return ops.cast(labels, "int64" if dtype in ("uint32", "uint64") else "int32")


def check_labels(labels: Any, num_classes: int) -> Any:
    """Refuses labels of no class; only `IGNORE_LABEL` says that a pixel has no label.

    Values that can be seen are looked at now. In a graph of TensorFlow the check becomes a part of
    the graph, of some comparisons a pixel; where XLA compiles it, and on JAX, there is none, and
    `one_hot_labels` makes NaN of such a label instead.

    Args:
        labels: As for `one_hot_labels`; one-hot and soft masks pass unseen.
        num_classes: Number of classes K.

    Returns:
        The labels; in a graph, those that wait for the check.

    Raises:
        ValueError: If a label is negative, or K or more and not 255, or no whole number. In a
            graph, when it runs, `tf.errors.InvalidArgumentError`.
    """
    shape = tuple(labels.shape)
    if _checked.get() or (len(shape) == 4 and shape[-1] == num_classes):
        return labels
    if _is_concrete(labels):
        wrong = _wrong_label(labels, num_classes)
        if wrong is not None:
            raise ValueError(wrong_label_text(wrong, num_classes))
        return labels
    if keras.backend.backend() != "tensorflow":
        return labels
    import tensorflow as tf

    if not tf.is_symbolic_tensor(labels):
        return labels  # a KerasTensor has no values
    lowest, highest = extreme_labels(labels, num_classes)
    message = wrong_label_text("one of", num_classes)
    good = tf.equal(lowest, 0) & tf.equal(highest, 0)
    with tf.control_dependencies([tf.debugging.Assert(good, [message, lowest, highest])]):
        return tf.identity(labels)


def extreme_labels(labels: Any, num_classes: int) -> tuple[Any, Any]:
    """The lowest and the highest label of no class; 0 where there is none."""
    labels = _comparable(labels)
    wrong = ops.where(is_label(labels, num_classes), ops.zeros_like(labels), labels)
    # Of an empty batch too, which a replica may have.
    return ops.min(wrong, initial=0), ops.max(wrong, initial=0)


def wrong_label_text(wrong: Any, num_classes: int) -> str:
    """What is said of a label of no class."""
    return (
        f"Expected labels 0 to {num_classes - 1}, one for each of the network's {num_classes} "
        f"classes, or {IGNORE_LABEL} where there is no label. Received the label {wrong}. Give the "
        f"network a class for each label, or write {IGNORE_LABEL} where a pixel is to be ignored."
    )


@contextmanager
def labels_are_checked() -> Iterator[None]:
    """Lets the losses and metrics that are traced in the block leave out a check made before it."""
    token = _checked.set(True)
    try:
        yield
    finally:
        _checked.reset(token)


def _wrong_label(labels: Any, num_classes: int) -> Any:
    array = np.asarray(labels) if isinstance(labels, np.ndarray) else ops.convert_to_numpy(labels)
    for first in range(0, len(array), _ROWS):
        some = array[first : first + _ROWS]
        good = (some >= 0) & (some < num_classes) | (some == IGNORE_LABEL)
        if some.dtype.kind == "f":
            good &= some == np.floor(some)
        if not good.all():
            return some[~good][0]
    return None


def _is_concrete(labels: Any) -> bool:
    """Whether values can be looked at: not in a graph, and not where JAX traces."""
    if isinstance(labels, np.ndarray):
        return True
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.is_tensor(labels) and not tf.is_symbolic_tensor(labels)
    if keras.backend.backend() == "jax":
        import jax

        return isinstance(labels, jax.Array) and not isinstance(labels, jax.core.Tracer)
    return False
