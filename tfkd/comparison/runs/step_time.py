"""How long a training step takes."""

import statistics
import time
from collections.abc import Mapping

import keras

__all__ = ["StepTime"]


class StepTime(keras.callbacks.Callback):
    """Times the steps from the end of one to the end of the next, so with the wait for data.

    The first epoch is left out, in which TensorFlow traces and caches fill; where there is but one,
    its first steps are.
    """

    _FIRST_STEPS = 2

    def __init__(self) -> None:
        super().__init__()
        self._epochs: list[list[float]] = []
        self._last: float | None = None

    @property
    def median_ms(self) -> float | None:
        """Median time of a step, milliseconds; None if too few were seen."""
        first, *later = self._epochs or [[]]
        seconds = [one for epoch in later for one in epoch] or first[self._FIRST_STEPS :]
        return 1000 * statistics.median(seconds) if seconds else None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Begins a new list."""
        self._epochs.append([])
        self._last = None

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Notes the time since the end of the step before."""
        now = time.perf_counter()
        if self._last is not None:
            self._epochs[-1].append(now - self._last)
        self._last = now
