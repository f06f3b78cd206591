"""Weights of distillation losses that rise from 0."""

from collections.abc import Sequence
from typing import Any

__all__ = ["ramped_weights"]


def ramped_weights(weights: Sequence[float], steps: int) -> list[Any]:
    """Lets weights rise along a line from 0 to their values.

    Args:
        weights: Weights of the losses.
        steps: Steps until they are reached; with 0 they are there from the start.

    Returns:
        A schedule for each weight; the weights themselves for 0 steps.
    """
    if not steps:
        return list(weights)
    from keras.optimizers.schedules import PolynomialDecay

    return [PolynomialDecay(0.0, steps, end_learning_rate=weight) for weight in weights]
