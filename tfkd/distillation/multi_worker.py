"""What Keras 3.15 lacks for `fit` under a `MultiWorkerMirroredStrategy` (keras#20585).

Three private hooks of Keras, all kept in this file: its symbolic build averages the first batch
over the workers, which a per-replica batch cannot be; its step averages the logs over an axis that
scalar logs do not have; and at the end of an epoch it takes such averages for the metrics' values.
"""

from typing import Any

import keras
import tensorflow as tf

__all__ = ["MultiWorkerFit"]


class MultiWorkerFit:
    """`fit` and `evaluate` on several workers; a part of the Distiller."""

    def _maybe_symbolic_build(self: Any, iterator: Any = None, data_batch: Any = None) -> None:
        if self._distribute_strategy is None:
            return  # built when the step is traced
        if iterator is not None:
            for _, _, batches in iterator:
                # Shapes and types are all that is looked at: one replica's batch will do.
                data_batch = keras.tree.map_structure(self._of_one_replica, next(batches))
                break
        with self._distribute_strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def _get_metrics_result_or_logs(self: Any, logs: dict[str, Any]) -> dict[str, Any]:
        if self._distribute_strategy is None:
            return super()._get_metrics_result_or_logs(logs)  # type: ignore[misc]
        # The metrics count every slice once, however many of them each replica has had.
        results = self.get_metrics_result()
        return {name: results.get(name, value) for name, value in logs.items()}

    def _of_one_replica(self: Any, value: Any) -> Any:
        return self._distribute_strategy.experimental_local_results(value)[0]

    def _as_logs(self: Any, logs: dict[str, Any]) -> dict[str, Any]:
        """Logs of a step in the shape in which Keras can reduce them."""
        if (
            self._distribute_strategy is None
            or not self._distribute_strategy.extended._in_multi_worker_mode()
        ):
            return logs
        return {name: tf.reshape(value, (1,)) for name, value in logs.items()}
