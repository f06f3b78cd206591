"""Convolutions that compute with their kernels as an int8 file holds them."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

__all__ = [
    "QuantizedConv2D",
    "QuantizedConv2DTranspose",
    "QuantizedDepthwiseConv2D",
    "quantized_kernel",
]

_LEVELS = 127  # on either side of 0: LiteRT leaves -128 out, so that the levels are symmetric


def quantized_kernel(kernel: Any, channel_axes: Sequence[int]) -> Any:
    r"""Rounds a kernel to 255 levels, symmetric around 0, of a scale of its own for each channel.

    $q(w) = s_c \cdot \mathrm{round}(w / s_c), \qquad s_c = \max_{w \in c} |w| / 127$

    The gradient goes straight through. Nothing is clipped, and what is rounded already stays as it
    is. A channel of zeros stays zero.

    Args:
        kernel: Tensor of any shape.
        channel_axes: Axes that tell the channels apart.

    Returns:
        Tensor of the same shape.
    """
    axes = [axis for axis in range(len(kernel.shape)) if axis not in channel_axes]
    largest = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
    scale = ops.maximum(largest / _LEVELS, 1e-12)
    rounded = ops.round(kernel / scale) * scale
    return kernel + ops.stop_gradient(rounded - kernel)


@keras.saving.register_keras_serializable(package="tfkd")
class QuantizedConv2D(layers.Conv2D):
    """`Conv2D` with a rounded kernel, a scale for each output channel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution itself; Keras calls it with the kernel."""
        return super().convolution_op(inputs, quantized_kernel(kernel, (3,)))


@keras.saving.register_keras_serializable(package="tfkd")
class QuantizedDepthwiseConv2D(layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with a rounded kernel, a scale for each output channel."""

    def call(self, inputs: Any) -> Any:
        """Feature (N, h, w, c) → (N, h / strides, w / strides, c · depth_multiplier)."""
        outputs = ops.depthwise_conv(
            inputs,
            quantized_kernel(self.kernel, (2, 3)),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _with_bias_and_activation(self, outputs)


@keras.saving.register_keras_serializable(package="tfkd")
class QuantizedConv2DTranspose(layers.Conv2DTranspose):
    """`Conv2DTranspose` with a rounded kernel, a scale for each output channel."""

    def call(self, inputs: Any) -> Any:
        """Feature (N, h, w, c) → (N, h · strides, w · strides, filters)."""
        outputs = ops.conv_transpose(
            inputs,
            quantized_kernel(self.kernel, (2,)),
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _with_bias_and_activation(self, outputs)


def _with_bias_and_activation(layer: Any, outputs: Any) -> Any:
    if layer.use_bias:
        outputs = outputs + layer.bias  # channels are last, or the rewriting would have refused it
    return outputs if layer.activation is None else layer.activation(outputs)
