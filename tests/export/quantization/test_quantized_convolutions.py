"""Kernels as an int8 file holds them, and the convolutions that compute with them."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfkd.export.quantization.quantized_convolutions import (
    QuantizedConv2D,
    QuantizedConv2DTranspose,
    QuantizedDepthwiseConv2D,
    quantized_kernel,
)


def _kernel(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype("float32")


@pytest.mark.parametrize("axes", [(3,), (2,), (2, 3)])
def test_levels_of_each_channel(axes):
    kernel = _kernel(3, 3, 4, 5)
    rounded = np.asarray(quantized_kernel(kernel, axes))
    others = tuple(axis for axis in range(4) if axis not in axes)
    scale = np.abs(kernel).max(others, keepdims=True) / 127
    levels = rounded / scale
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
    np.testing.assert_allclose(np.abs(levels).max(others), 127, rtol=1e-5)
    assert np.all(np.abs(rounded - kernel) <= 0.501 * scale)
    np.testing.assert_allclose(quantized_kernel(rounded, axes), rounded, rtol=1e-5)


def test_channel_of_zeros():
    kernel = _kernel(1, 1, 2, 3)
    kernel[..., 1] = 0
    np.testing.assert_array_equal(np.asarray(quantized_kernel(kernel, (3,)))[..., 1], 0)


def test_gradient_goes_straight_through():
    kernel = tf.constant(_kernel(3, 3, 2, 2))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        y = tf.reduce_sum(quantized_kernel(kernel, (3,)) * 3.0)
    np.testing.assert_allclose(tape.gradient(y, kernel), np.full(kernel.shape, 3.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("quantized", "stock", "axes", "settings"),
    [
        (QuantizedConv2D, layers.Conv2D, (3,), {"filters": 4, "dilation_rate": 2}),
        (
            QuantizedDepthwiseConv2D,
            layers.DepthwiseConv2D,
            (2, 3),
            {"depth_multiplier": 2, "strides": 2},
        ),
        (QuantizedConv2DTranspose, layers.Conv2DTranspose, (2,), {"filters": 4, "strides": 2}),
    ],
)
@pytest.mark.parametrize("ends", [{}, {"use_bias": False, "activation": "relu"}])
def test_layer_is_the_stock_one_with_a_rounded_kernel(quantized, stock, axes, settings, ends):
    settings = {"kernel_size": 3, "padding": "same", **settings, **ends}
    x = _kernel(2, 8, 8, 3, seed=1)
    layer, plain = quantized(**settings), stock(**settings)
    layer.build(x.shape)
    plain.build(x.shape)
    weights = [_kernel(*weight.shape, seed=2) for weight in layer.get_weights()]
    layer.set_weights(weights)
    plain.set_weights([np.asarray(quantized_kernel(weights[0], axes)), *weights[1:]])
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-4, atol=1e-4)
    assert np.abs(layer(x)).max() > 0
