"""Training batches that the workers of a `tf.distribute` strategy share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfkd.records.reader import CTRecords

__all__ = ["SharedRecords"]


@dataclass(frozen=True)
class SharedRecords:
    """The stream of `CTRecords`, dealt out to replicas and workers by hand.

    `fit` would deal out whole files or every n-th slice; then what a global batch holds would
    depend on the number of workers. Here it is the one that a single process draws.

    Args:
        data: The records, whose `batch_size` is that of the global batch.
        strategy: Strategy to train under.
    """

    data: CTRecords
    strategy: tf.distribute.Strategy

    @property
    def steps_per_epoch(self) -> int:
        """Training batches per epoch."""
        return self.data.steps_per_epoch

    def stream(self, epoch: int = 0, step: int = 0) -> Any:
        """`CTRecords.stream`, as a distributed dataset.

        Raises:
            ValueError: If the replicas do not divide the batch size.
        """
        replicas = self.strategy.num_replicas_in_sync
        if self.data.batch_size % replicas:
            raise ValueError(
                f"batch_size: expected a multiple of the {replicas} replicas of the strategy, "
                f"received {self.data.batch_size}."
            )

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            workers = context.num_input_pipelines
            batches = self.data.stream(epoch, step, context.input_pipeline_id, workers)
            # What the function returns is dealt out to the replicas of the worker in turn.
            own = self.data.batch_size // replicas
            return batches if workers == replicas else batches.rebatch(own, drop_remainder=True)

        return self._distributed(of_worker)

    @property
    def validation(self) -> Any:
        """`CTRecords.validation`, as a distributed dataset: each batch in as many equal parts.

        A part is empty where a batch has fewer slices than there are replicas.
        """
        replicas = self.strategy.num_replicas_in_sync

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            own = replicas // context.num_input_pipelines
            first = own * context.input_pipeline_id

            def parts(image: tf.Tensor, mask: tf.Tensor) -> tf.data.Dataset:
                count = tf.shape(image, tf.int64)[0]
                edges = count * tf.range(first, first + own + 1, dtype=tf.int64) // replicas
                spans = tf.data.Dataset.from_tensor_slices((edges[:-1], edges[1:]))
                return spans.map(lambda low, high: (image[low:high], mask[low:high]))

            return self.data.validation.flat_map(parts)

        return self._distributed(of_worker)

    def _distributed(self, of_worker: Callable[[Any], tf.data.Dataset]) -> Any:
        dataset = self.strategy.distribute_datasets_from_function(of_worker)
        dataset.facts = self.data.facts  # as those of `CTRecords` have them
        dataset.records = self.data
        return dataset
