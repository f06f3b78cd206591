"""The residual trunk of ResNet-18 and ResNet-34, for the networks built on it."""

import keras
from keras import layers

from tfkd.models.blocks import activate, conv_bn

__all__ = ["basic_stage", "stem"]


def stem(x: keras.KerasTensor, channels: int, name: str = "stem") -> keras.KerasTensor:
    """7×7 convolution of stride 2, BatchNorm, ReLU: (N, H, W, C) → (N, H/2, W/2, channels)."""
    return conv_bn(x, channels, 7, name, strides=2)


def basic_stage(
    x: keras.KerasTensor, channels: int, blocks: int, name: str, *, strides: int = 1
) -> keras.KerasTensor:
    """A stage of basic residual blocks, two 3×3 convolutions each.

    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385. Each
    block starts as the identity (last gamma 0; Goyal et al., 2017, arXiv 1706.02677).

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


def _basic_block(x: keras.KerasTensor, channels: int, name: str, strides: int) -> keras.KerasTensor:
    shortcut = x
    if strides > 1 or x.shape[-1] != channels:
        shortcut = conv_bn(x, channels, 1, f"{name}_shortcut", strides=strides, activation=None)
    x = conv_bn(x, channels, 3, f"{name}_a", strides=strides)
    x = conv_bn(x, channels, 3, f"{name}_b", activation=None, ends_residual=True)
    return activate(layers.Add(name=f"{name}_add")([shortcut, x]), "relu", name)
