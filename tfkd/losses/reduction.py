"""From one value per example to the one value that is minimised, on one device or on many."""

from typing import Any

import keras
from keras import ops

__all__ = ["mean_over_global_batch", "replicas_in_sync", "sum_over_replicas"]


def replicas_in_sync() -> int:
    """Number of replicas that train together on a batch; 1 without a `tf.distribute` strategy."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def mean_over_global_batch(values: Any) -> Any:
    """Averages values over the examples of the global batch.

    Under a `tf.distribute` strategy the gradients of the replicas are summed, so each replica's
    mean is divided by the number of replicas. A Keras loss object does so by itself; whatever is
    added to it has to do the same, or it counts once per replica.

    Args:
        values: Tensor of shape (N,), one value per example of this replica's batch. The last batch
            of an evaluation may leave a replica without any (N = 0), which gives 0.

    Returns:
        Scalar tensor.
    """
    count = ops.cast(ops.maximum(ops.shape(values)[0], 1), values.dtype)
    return ops.sum(values) / (count * replicas_in_sync())


def sum_over_replicas(value: Any) -> Any:
    """Adds up a sum that each replica has made over its part of the batch.

    For terms that are no mean over the examples, such as a Dice over all pixels of the batch.
    Gradients flow back to every replica's part.

    Args:
        value: Tensor, of the same shape on all replicas.

    Returns:
        The sum over all replicas, the same everywhere; `value` itself where there is one replica.
    """
    if replicas_in_sync() == 1:
        return value
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None:  # Keras traces the loss once outside of the replicas, for its shape
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)
