"""Labels where nobody has drawn any: those of which the teachers are sure."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tfkd.volumes import IGNORE_LABEL

__all__ = ["encode_pseudo_labels", "fill_labels", "pseudo_labels"]


def pseudo_labels(logits: Sequence[Any], threshold: float) -> Any:
    r"""The class that the teachers predict, where they are sure of it.

    $m_k(x) = 1$ where $\frac{1}{T} \sum_t \sigma(z_t(x))_k \ge \theta$, and 0 elsewhere, with
    $\sigma$ the softmax.

    All teachers have an equal say, also where their shares in the losses differ: a share follows
    from what is known of a slice, and of pixels without label nothing is known. Nor can a teacher
    have learnt these labels by heart, so that all of them may speak. It also lets a teacher cache
    keep the result, whatever the shares are.

    Args:
        logits: Logits $z_t$ (N, H, W, K) of each of the T teachers.
        threshold: θ > 0.5, so that no pixel is of two classes.

    Returns:
        One-hot labels (N, H, W, K), float32; zeros where the teachers are not sure.

    References:
        Sohn et al., "FixMatch", NeurIPS 2020, for taking only what is predicted with confidence
        (there 0.95, of the network itself).
    """
    probability = sum(ops.softmax(ops.cast(one, "float32"), axis=-1) for one in logits)
    return ops.cast(probability >= threshold * len(logits), "float32")


def fill_labels(labels: Any, found: Any) -> Any:
    """Labels (N, H, W, K), with those of `found`, of the same shape, in pixels that have none."""
    return ops.where(_unlabelled(labels), found, labels)


def encode_pseudo_labels(labels: Any, found: Any) -> Any:
    """What `fill_labels` would fill in, for a teacher cache.

    Args:
        labels: One-hot labels (N, H, W, K).
        found: What `pseudo_labels` returned.

    Returns:
        Class indices (N, H, W, 1), uint8; `IGNORE_LABEL` where nothing is filled in.
    """
    taken = ops.logical_and(_unlabelled(labels)[..., 0], ops.any(found > 0, axis=-1))
    return ops.cast(ops.where(taken, ops.argmax(found, axis=-1), IGNORE_LABEL), "uint8")[..., None]


def _unlabelled(labels: Any) -> Any:
    return ops.sum(labels, axis=-1, keepdims=True) <= 0
