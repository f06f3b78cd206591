"""Bring a feature to another feature's size."""

from typing import Any

from keras import ops

__all__ = ["match_size"]


def match_size(features: Any, height: int, width: int) -> Any:
    """Resizes features bilinearly, if their size differs.

    Args:
        features: Tensor (N, h, w, c).
        height: Rows wanted.
        width: Columns wanted.

    Returns:
        Tensor (N, height, width, c).
    """
    if tuple(features.shape[1:3]) == (height, width):
        return features
    return ops.image.resize(features, (height, width), interpolation="bilinear")
