"""Stops a training at the first loss or label that is none, and says which one and on what."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf

from tfkd.distillation.targets import Targets
from tfkd.errors import TrainingError
from tfkd.losses.labels import extreme_labels, wrong_label_text
from tfkd.losses.reduction import replicas_in_sync, sum_over_replicas

__all__ = ["check_finite", "check_labels", "naming_the_fault"]

_MARK = "tfkd: a loss is not finite:"
_LABEL_MARK = "tfkd: labels of no class, of so many classes:"
_SLICES = "on slices"
_END = ":end of slices"


def check_finite(
    gradients: Sequence[tf.Tensor | None],
    values: Sequence[tf.Tensor],
    names: Sequence[str],
    targets: Targets,
    *,
    losses_only: bool = False,
) -> list[tf.Tensor | None]:
    """Lets gradients pass if they and all losses are finite.

    Args:
        gradients: Gradients, or None for a weight that no loss reaches. They do not depend on the
            value of a loss, so they have to be told to wait for the check.
        values: Scalar losses.
        names: Their names.
        targets: The batch's targets, which may say where its slices come from.
        losses_only: Whether gradients may overflow.

    Returns:
        The gradients. Where the check fails, `naming_the_fault` gets the error and no trainable
        weight is updated.
    """
    checks = [tf.math.is_finite(value) for value in values]
    names = list(names)
    if not losses_only:
        # A NaN may get lost on the way forward, as in a ReLU, and come back on the way backward.
        parts = [tf.reduce_all(tf.math.is_finite(one)) for one in gradients if one is not None]
        checks.append(tf.reduce_all(parts))
        names.append("the gradient")
    finite = tf.stack(checks)
    guilty = tf.boolean_mask(tf.constant(names), ~finite)
    message = tf.strings.join([_MARK, tf.strings.reduce_join(guilty, separator=", ")], " ")
    message = tf.strings.join([message, _SLICES, _origin(targets, _of_all_replicas), _END], " ")
    check = tf.debugging.Assert(tf.reduce_all(finite), [message], summarize=-1)
    # In eager mode the check has raised already, and is None.
    with tf.control_dependencies([] if check is None else [check]):
        return [None if one is None else tf.identity(one) for one in gradients]


def check_labels(targets: Targets, num_classes: int) -> tf.Tensor:
    """Lets labels pass if each is that of a class, or `IGNORE_LABEL`.

    Args:
        targets: The batch's targets; one-hot and soft masks pass unseen.
        num_classes: Classes of the network.

    Returns:
        The labels. Where the check fails, `naming_the_fault` gets the error, and nothing that
        depends on the labels is computed. Under a strategy, the slices are those of the replica
        that has found it.
    """
    mask = tf.convert_to_tensor(targets.mask)
    if mask.shape.rank == 4 and mask.shape[-1] == num_classes:
        return mask
    lowest, highest = extreme_labels(mask, num_classes)
    wrong = tf.strings.as_string(tf.where(tf.equal(highest, 0), lowest, highest))
    message = tf.strings.join([f"{_LABEL_MARK} {num_classes}", wrong], " ")
    origin = _origin(targets, lambda own: own)
    message = tf.strings.join([message, _SLICES, origin, _END], " ")
    good = tf.equal(lowest, 0) & tf.equal(highest, 0)
    check = tf.debugging.Assert(good, [message], summarize=-1)
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(mask)


def _origin(targets: Targets, gathered: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """ "case slice, case slice, …", or "of unknown origin"."""
    if targets.case_id is None:
        return tf.constant("of unknown origin")
    # The zeros that fill up a name are no letters.
    letters = tf.constant([b"", *(bytes([code]) for code in range(1, 256))])
    codes = gathered(tf.cast(targets.case_id, tf.int32))
    cases = tf.strings.reduce_join(tf.gather(letters, codes), axis=-1)
    if targets.slice_index is not None:
        numbers = gathered(tf.cast(targets.slice_index, tf.int32))
        cases = tf.strings.join([cases, tf.strings.as_string(numbers)], " ")
    return tf.strings.reduce_join(cases, separator=", ")


def _of_all_replicas(value: tf.Tensor) -> tf.Tensor:
    """Rows of the global batch: what one replica has, such as a Dice, spoils the loss of all."""
    if replicas_in_sync() == 1:
        return value
    # By a sum over what each puts in its own place: `all_gather` fails with several workers.
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    own = tf.one_hot(replica, replicas_in_sync(), dtype=value.dtype)
    rows = sum_over_replicas(tf.tensordot(own, value, axes=0))
    return tf.reshape(rows, tf.concat([[-1], tf.shape(value)[1:]], 0))


@contextmanager
def naming_the_fault() -> Iterator[None]:
    """Turns the failed check into a `TrainingError`, without the graph it was found in."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        label = re.search(
            rf"{_LABEL_MARK} (\d+) (\S+) {_SLICES} (.*?) {_END}", str(error), re.DOTALL
        )
        if label is not None:
            raise TrainingError(
                f"{wrong_label_text(label[2], int(label[1]))} It is in a batch of slices "
                f"{label[3]}. No weight was changed by it."
            ) from None
        found = re.search(rf"{_MARK} (.*?) {_SLICES} (.*?) {_END}", str(error), re.DOTALL)
        if found is None:
            raise
        raise TrainingError(
            f"Expected every loss to be finite, found NaN or infinity in {found[1]}, in a batch "
            f"of slices {found[2]}. No trainable weight was changed by it; the running statistics "
            "of batch normalisation may have been. Look at the slices, or go on from the last "
            "checkpoint with a smaller learning rate, a larger weight of the labels, or float32."
        ) from None
