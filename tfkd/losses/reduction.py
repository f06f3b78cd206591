"""From one value per example to the one value that is minimised."""

from typing import Any

import keras
from keras import ops

__all__ = ["mean_over_global_batch"]


def mean_over_global_batch(values: Any) -> Any:
    """Averages values over the examples of the global batch.

    Under a `tf.distribute` strategy the gradients of the replicas are summed, so each replica's
    mean is divided by the number of replicas. A Keras loss object does so by itself; whatever is
    added to it has to do the same, or it counts once per replica.

    Args:
        values: Tensor of shape (N,), one value per example of this replica's batch.

    Returns:
        Scalar tensor.
    """
    mean = ops.mean(values)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            mean = mean / replicas
    return mean
