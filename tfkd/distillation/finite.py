"""Stops a training at the first loss that is not finite, and says which one and on what."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf

from tfkd.distillation.targets import Targets
from tfkd.errors import TrainingError

__all__ = ["check_finite", "naming_the_loss"]

_MARK = "tfkd: a loss is not finite:"
_SLICES = "on slices"


def check_finite(
    gradients: Sequence[tf.Tensor | None],
    values: Sequence[tf.Tensor],
    names: Sequence[str],
    targets: Targets,
) -> list[tf.Tensor | None]:
    """Lets gradients pass if all losses are finite.

    Args:
        gradients: Gradients, or None for a weight that no loss reaches. They do not depend on the
            value of a loss, so they have to be told to wait for the check.
        values: Scalar losses.
        names: Their names.
        targets: The batch's targets, which may say where its slices come from.

    Returns:
        The gradients. Where the check fails, `naming_the_loss` gets the error and no trainable
        weight is updated.
    """
    finite = tf.math.is_finite(tf.stack([tf.cast(value, tf.float32) for value in values]))
    guilty = tf.boolean_mask(tf.constant(list(names)), ~finite)
    message = tf.strings.join([_MARK, tf.strings.reduce_join(guilty, separator=", ")], " ")
    message = tf.strings.join([message, _SLICES, _origin(targets)], " ")
    check = tf.debugging.Assert(tf.reduce_all(finite), [message], summarize=-1)
    # In eager mode the check has raised already, and is None.
    with tf.control_dependencies([] if check is None else [check]):
        return [None if one is None else tf.identity(one) for one in gradients]


def _origin(targets: Targets) -> tf.Tensor:
    """ "case slice, case slice, …", or "of unknown origin"."""
    if targets.case_id is None:
        return tf.constant("of unknown origin")
    # The zeros that fill up a name are no letters.
    letters = tf.constant([b"", *(bytes([code]) for code in range(1, 256))])
    codes = tf.cast(targets.case_id, tf.int32)
    cases = tf.strings.reduce_join(tf.gather(letters, codes), axis=-1)
    if targets.slice_index is not None:
        cases = tf.strings.join([cases, tf.strings.as_string(targets.slice_index)], " ")
    return tf.strings.reduce_join(cases, separator=", ")


@contextmanager
def naming_the_loss() -> Iterator[None]:
    """Turns the failed check into a `TrainingError`, without the graph it was found in."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(rf"{_MARK} (.*?) {_SLICES} (.*?)(?:'|\"|\]|\n|$)", str(error))
        if found is None:
            raise
        raise TrainingError(
            f"Expected every loss to be finite, found NaN or infinity in {found[1]}, in a batch "
            f"of slices {found[2]}. No trainable weight was changed by it. Look at them, or try "
            "a smaller learning rate, a larger weight of the labels, or float32."
        ) from None
