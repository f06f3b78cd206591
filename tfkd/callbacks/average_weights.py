"""Validation with the moving average of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras
from keras import ops

__all__ = ["AverageWeights", "averaged_weights"]


class AverageWeights(keras.callbacks.Callback):
    """Lets `fit` validate the moving average of the weights instead of the weights themselves.

    The average is Keras' own, made by the optimizer with `use_ema=True`:

        a₁ = w₁,    aₜ = m·aₜ₋₁ + (1 − m)·wₜ

    with wₜ the trainable weights after step t and m the `ema_momentum`. It lies in the optimizer's
    variables, so a checkpoint has it. Training goes on from wₜ bit for bit; at the end of `fit`
    Keras puts the average into the model for good. Without `use_ema` nothing happens.

    Differs from `keras.callbacks.SwapEMAWeights`, which adds and subtracts to swap (and so changes
    the weights by rounding), and which with `swap_on_epoch` ends with the wrong weights when a
    training stops early.

    Only trainable weights are averaged. The running statistics of batch normalisation stay those
    of wₜ; recalibrate them for the final network if that matters.

    Example:
        >>> model.compile(keras.optimizers.Adam(use_ema=True, ema_momentum=0.999), loss=loss)
        >>> model.fit(train, validation_data=validation, callbacks=[AverageWeights()])
    """

    def __init__(self) -> None:
        super().__init__()
        self._swap: AbstractContextManager[None] | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Puts the weights back where an earlier training was interrupted in its validation."""
        self.on_test_end()

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Puts the average into the model."""
        self._swap = averaged_weights(self.model)
        self._swap.__enter__()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Puts the weights back."""
        if self._swap is not None:
            self._swap.__exit__(None, None, None)
            self._swap = None


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Lets a block see a compiled model with the average of its weights.

    Args:
        model: Model whose optimizer averages (`use_ema=True`), wrapped in a `LossScaleOptimizer` or
            not. With another optimizer, or before the first step, the block sees the weights as
            they are.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    # Before the first step, the averages are zeros.
    if not getattr(optimizer, "use_ema", False) or not ops.convert_to_numpy(optimizer.iterations):
        yield
        return
    weights = model.trainable_variables
    kept = [ops.convert_to_numpy(weight) for weight in weights]
    for weight, average in zip(weights, optimizer._model_variables_moving_average, strict=True):
        weight.assign(average)
    try:
        yield
    finally:
        for weight, value in zip(weights, kept, strict=True):
            weight.assign(value)
