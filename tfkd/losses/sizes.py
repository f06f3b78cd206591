"""Bring a feature or a mask to another feature's size."""

from typing import Any

import numpy as np
from keras import ops

__all__ = ["area_average", "match_size"]


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


def area_average(masks: Any, height: int, width: int) -> Any:
    """Averages over the area of each output pixel, so that no region vanishes.

    Args:
        masks: Masks or features (N, H, W, K).
        height: Rows wanted; where they do not divide H, pixels are split.
        width: Columns wanted.

    Returns:
        Tensor (N, height, width, K).
    """
    rows, columns, classes = masks.shape[1:]
    if rows % height == 0 and columns % width == 0:
        blocks = (-1, height, rows // height, width, columns // width, classes)
        return ops.mean(ops.reshape(masks, blocks), axis=(2, 4))
    return ops.einsum(
        "aH,nHWk,bW->nabk", _area_weights(rows, height), masks, _area_weights(columns, width)
    )


def _area_weights(size_in: int, size_out: int) -> np.ndarray:
    """Share of each input cell in each output cell, (size_out, size_in), rows sum to 1."""
    edges = np.arange(size_out + 1) * (size_in / size_out)
    cells = np.arange(size_in)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.clip(overlap, 0, None) * (size_out / size_in)).astype(np.float32)
