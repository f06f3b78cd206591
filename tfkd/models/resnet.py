"""The residual trunks of ResNet-18, -34 and -50, for the networks built on them.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385. Each block
starts as the identity (last gamma 0; Goyal et al., 2017, arXiv 1706.02677).
"""

import keras
from keras import layers

from tfkd.models.blocks import activate, conv_bn

__all__ = ["BOTTLENECK_EXPANSION", "basic_stage", "bottleneck_stage", "stem"]

BOTTLENECK_EXPANSION = 4
"""Channels of a bottleneck block's result for each of its 3×3 convolution's."""


def stem(x: keras.KerasTensor, channels: int, name: str = "stem") -> keras.KerasTensor:
    """7×7 convolution of stride 2, BatchNorm, ReLU: (N, H, W, C) → (N, H/2, W/2, channels)."""
    return conv_bn(x, channels, 7, name, strides=2)


def basic_stage(
    x: keras.KerasTensor, channels: int, blocks: int, name: str, *, strides: int = 1
) -> keras.KerasTensor:
    """A stage of basic residual blocks, two 3×3 convolutions each (ResNet-18 and -34).

    Args:
        x: Feature (N, h, w, c).
        channels: Channels of the result.
        blocks: Number of blocks.
        name: Prefix of the layers' names, ``<name>_<block>_...``, blocks counted from 1.
        strides: Stride of the first block.

    Returns:
        Feature (N, h / strides, w / strides, channels).
    """
    for block in range(1, blocks + 1):
        x = _basic_block(x, channels, f"{name}_{block}", strides if block == 1 else 1)
    return x


def bottleneck_stage(
    x: keras.KerasTensor,
    channels: int,
    blocks: int,
    name: str,
    *,
    strides: int = 1,
    dilation: int = 1,
) -> keras.KerasTensor:
    """A stage of bottleneck blocks, convolutions 1×1, 3×3 and 1×1 each (ResNet-50).

    The stride is that of the first 1×1 convolution, as in the paper and in `keras.applications`.

    Args:
        x: Feature (N, h, w, c).
        channels: Channels of the 3×3 convolutions; the result has four times as many.
        blocks: Number of blocks.
        name: Prefix of the layers' names, as in `basic_stage`.
        strides: Stride of the first block.
        dilation: Dilation of every 3×3 convolution, in place of a stride.

    Returns:
        Feature (N, h / strides, w / strides, 4 · channels).
    """
    for block in range(1, blocks + 1):
        first = strides if block == 1 else 1
        x = _bottleneck_block(x, channels, f"{name}_{block}", strides=first, dilation=dilation)
    return x


def _basic_block(x: keras.KerasTensor, channels: int, name: str, strides: int) -> keras.KerasTensor:
    shortcut = _shortcut(x, channels, name, strides)
    x = conv_bn(x, channels, 3, f"{name}_a", strides=strides)
    x = conv_bn(x, channels, 3, f"{name}_b", activation=None, ends_residual=True)
    return activate(layers.Add(name=f"{name}_add")([shortcut, x]), "relu", name)


def _bottleneck_block(
    x: keras.KerasTensor, channels: int, name: str, *, strides: int, dilation: int
) -> keras.KerasTensor:
    wide = BOTTLENECK_EXPANSION * channels
    shortcut = _shortcut(x, wide, name, strides)
    x = conv_bn(x, channels, 1, f"{name}_a", strides=strides)
    x = conv_bn(x, channels, 3, f"{name}_b", dilation=dilation)
    x = conv_bn(x, wide, 1, f"{name}_c", activation=None, ends_residual=True)
    return activate(layers.Add(name=f"{name}_add")([shortcut, x]), "relu", name)


def _shortcut(x: keras.KerasTensor, channels: int, name: str, strides: int) -> keras.KerasTensor:
    """The feature itself, or a linear 1×1 convolution of it where its shape has to change."""
    if strides == 1 and x.shape[-1] == channels:
        return x
    return conv_bn(x, channels, 1, f"{name}_shortcut", strides=strides, activation=None)
