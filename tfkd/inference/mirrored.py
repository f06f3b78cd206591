"""Test-time mirroring."""

import numpy as np

from tfkd.inference.volume_predictor import LogitsFunction

__all__ = ["mirrored"]


def mirrored(logits_fn: LogitsFunction) -> LogitsFunction:
    """Return a function that averages the logits of each slice and of its left-right mirror image.

    It takes twice the time. It helps a network that was trained with mirror images; one that has
    only ever seen the liver on the right may do worse.

    Args:
        logits_fn: (N, H, W, C) float32 → (N, H, W, K) float32.
    """

    def both(images: np.ndarray) -> np.ndarray:
        turned = logits_fn(np.ascontiguousarray(images[:, :, ::-1]))
        return (logits_fn(images) + turned[:, :, ::-1]) / np.float32(2)

    return both
