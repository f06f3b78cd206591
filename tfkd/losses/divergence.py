"""Kullback-Leibler divergence between softmaxes."""

from typing import Any

from keras import ops

__all__ = ["softmax_divergence"]


def softmax_divergence(teacher: Any, student: Any, axis: int | tuple[int, ...]) -> Any:
    """KL(softmax(teacher) ‖ softmax(student)).

    Σ p (log p − log q) with the normalisers of both softmaxes taken out of the sum, so that no
    logarithm of a small probability is needed.

    Args:
        teacher: Logits, float32.
        student: Logits of the same shape.
        axis: Axes that each softmax runs over.

    Returns:
        Tensor without these axes, ≥ 0.
    """
    divergence = ops.sum(ops.softmax(teacher, axis=axis) * (teacher - student), axis=axis)
    normalizers = ops.logsumexp(student, axis=axis) - ops.logsumexp(teacher, axis=axis)
    return divergence + normalizers
