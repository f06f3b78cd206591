"""Blocks that the networks share: only stock Keras layers, so a saved model loads without `tfkd`.

Every layer takes its name from the block's `name`, so names are stable from build to build. What is
chosen for all of them:

* BatchNorm momentum 0.9: the 0.99 of Keras is too slow for short trainings.
* BatchNorm epsilon 1e-3: a nearly constant channel, common on the uniform background of CT, is then
  scaled by at most 32 when it is folded into the convolution, which int8 can still hold.
* BatchNorm takes its moments over the batches of all replicas, if the network is built within the
  scope of a `tf.distribute` strategy: with a few slices a device, those of one replica would make
  the training depend on the number of devices.
* No bias before a BatchNorm.
* Bilinear instead of nearest resizing: the gradient of the latter does not compile under XLA.
"""

from typing import Literal

import keras
from keras import layers

__all__ = [
    "BATCH_NORM_MOMENTUM",
    "Activation",
    "activate",
    "batch_norm",
    "conv_bn",
    "depthwise_bn",
    "head_init",
    "image_input",
    "prelu",
    "tap",
    "transposed_bn",
    "upsample",
]

BATCH_NORM_MOMENTUM = 0.9
BATCH_NORM_EPSILON = 1e-3

Activation = Literal["relu", "relu6", "prelu", "shared_prelu"] | None
"""Name of the activation that ends a block; None leaves the block linear."""


def image_input(shape: tuple[int, int, int]) -> keras.KerasTensor:
    """The network's input: slices (N, H, W, C), already windowed by the `PreprocessSpec`."""
    return keras.Input(shape, name="image")


def tap(x: keras.KerasTensor, depth: Literal["low", "high"]) -> keras.KerasTensor:
    """Name a feature ``tap_low`` or ``tap_high``, where the distillation losses look for it."""
    return layers.Identity(name=f"tap_{depth}")(x)


def batch_norm(
    x: keras.KerasTensor, name: str, *, ends_residual: bool = False
) -> keras.KerasTensor:
    """Batch normalisation, over the global batch where a strategy's scope splits it.

    Args:
        x: Feature (N, h, w, c).
        name: Name of the layer.
        ends_residual: Start with gamma 0, so that the residual block it ends starts as the
            identity, and a deep network begins with features of the shortcut's own scale.

    Returns:
        Feature of the same shape.
    """
    return layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM,
        epsilon=BATCH_NORM_EPSILON,
        gamma_initializer="zeros" if ends_residual else "ones",
        synchronized=_replicas() > 1,
        name=name,
    )(x)


def _replicas() -> int:
    """Number of devices that share a batch in the current `tf.distribute` scope; 1 outside of one.

    TensorFlow is imported where it is the backend only: a network is built on the others as well,
    and Keras refuses synchronised moments there.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def prelu(x: keras.KerasTensor, name: str, *, is_shared: bool = False) -> keras.KerasTensor:
    """PReLU starting at 0.25, with a slope per channel or one that all channels share."""
    slope = keras.initializers.Constant(0.25)  # He et al., 2015, arXiv 1502.01852
    shared = (1, 2, 3) if is_shared else (1, 2)
    return layers.PReLU(alpha_initializer=slope, shared_axes=shared, name=name)(x)


def activate(x: keras.KerasTensor, activation: Activation, name: str) -> keras.KerasTensor:
    """Activation as a layer of its own, ``<name>_<activation>``; None returns `x`.

    "shared_prelu" is a PReLU of one slope for all channels, and named as the other kind.
    """
    if activation is None:
        return x
    if activation in ("prelu", "shared_prelu"):
        return prelu(x, f"{name}_prelu", is_shared=activation == "shared_prelu")
    return layers.ReLU(6.0 if activation == "relu6" else None, name=f"{name}_{activation}")(x)


def conv_bn(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int | tuple[int, int],
    name: str,
    *,
    strides: int = 1,
    dilation: int = 1,
    padding: Literal["same", "valid"] = "same",
    activation: Activation = "relu",
    ends_residual: bool = False,
) -> keras.KerasTensor:
    """Convolution, BatchNorm, activation: ``<name>_conv``, ``<name>_bn``, ``<name>_<activation>``.

    Args:
        x: Feature (N, h, w, c).
        filters: Channels of the result.
        kernel_size: Pixels, one number or (height, width).
        name: Prefix of the layers' names.
        strides: Pixels from one output to the next.
        dilation: Pixels from one tap of the kernel to the next.
        padding: "same", or "valid" for none.
        activation: Last step.
        ends_residual: See `batch_norm`.

    Returns:
        Feature (N, h / strides, w / strides, filters).
    """
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        dilation_rate=dilation,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return activate(batch_norm(x, f"{name}_bn", ends_residual=ends_residual), activation, name)


def depthwise_bn(
    x: keras.KerasTensor,
    name: str,
    *,
    strides: int = 1,
    dilation: int = 1,
    activation: Activation = "relu6",
) -> keras.KerasTensor:
    """Depthwise 3×3 convolution, BatchNorm and activation; arguments as in `conv_bn`."""
    # He's rule for the 9 pixels that one channel really sees: Keras counts all channels as fan-in,
    # and kernels that small would be thrown about by the first steps of Adam.
    init = keras.initializers.TruncatedNormal(stddev=(2.0 / 9.0) ** 0.5)
    x = layers.DepthwiseConv2D(
        3,
        strides=strides,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        depthwise_initializer=init,
        name=f"{name}_conv",
    )(x)
    return activate(batch_norm(x, f"{name}_bn"), activation, name)


def transposed_bn(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    name: str,
    *,
    activation: Activation = "relu",
) -> keras.KerasTensor:
    """Transposed convolution of stride 2, BatchNorm, activation: (N, h, w, c) → (N, 2h, 2w, f)."""
    x = layers.Conv2DTranspose(
        filters,
        kernel_size,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return activate(batch_norm(x, f"{name}_bn"), activation, name)


def upsample(
    x: keras.KerasTensor, factor: int, name: str, *, dtype: str | None = None
) -> keras.KerasTensor:
    """Bilinear enlargement, half-pixel centres: (N, h, w, c) → (N, factor·h, factor·w, c)."""
    return layers.UpSampling2D(factor, interpolation="bilinear", dtype=dtype, name=name)(x)


def head_init(taps: int) -> keras.initializers.Initializer:
    """Initial kernel of the linear layer that makes the logits.

    Args:
        taps: How many numbers one logit is the weighted sum of: channels times the kernel's pixels.

    Returns:
        A normal distribution of standard deviation 1/√(2·taps), so that rectified unit features
        give logits of a standard deviation of about a half, for any number of channels: every class
        starts with a fair chance.
    """
    return keras.initializers.RandomNormal(stddev=(2.0 * taps) ** -0.5)
