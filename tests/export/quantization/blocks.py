"""Networks with weights that all matter, and the blocks that the rewriting knows."""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

Block = Callable[[keras.KerasTensor], keras.KerasTensor]

SIZE, CHANNELS = 8, 4


def with_random_weights(model: keras.Model) -> keras.Model:
    """As after a training: what starts as zeros or ones does not stay so."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.1, size))
            layer.moving_variance.assign(rng.uniform(0.5, 2.0, size))
            if layer.scale:
                layer.gamma.assign(rng.uniform(0.5, 1.5, size))
            if layer.center:
                layer.beta.assign(rng.normal(0, 0.2, size))
        elif isinstance(layer, layers.PReLU):
            layer.alpha.assign(rng.uniform(-0.1, 0.6, layer.alpha.shape))
        elif getattr(layer, "use_bias", False):
            layer.bias.assign(rng.normal(0, 0.2, layer.bias.shape))
    return model


def images(count: int = 4, shape: tuple[int, ...] = (SIZE, SIZE, CHANNELS)) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (count, *shape)).astype("float32")


def network(block: Block) -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((SIZE, SIZE, CHANNELS), name="image")
    return with_random_weights(keras.Model(image, block(image), name="network"))


def _norm(x, **settings):
    return layers.BatchNormalization(**settings)(x)


def _conv(x, filters=6, size=3, **settings):
    return layers.Conv2D(filters, size, padding="same", **settings)(x)


def _up(x, size, **settings):
    return layers.Conv2DTranspose(6, size, strides=2, padding="same", **settings)(x)


def _prelu(x, **settings):
    return layers.PReLU(**{"shared_axes": (1, 2), **settings})(x)


def _gate(x):
    mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return layers.Multiply()([x, layers.Softmax()(mean)])


BLOCKS: dict[str, Block] = {
    "conv_bn_relu6": lambda x: layers.ReLU(6.0)(_norm(_conv(x, use_bias=False))),
    "relu_inside": lambda x: _conv(x, activation="relu"),
    "depthwise": lambda x: _norm(layers.DepthwiseConv2D(3, depth_multiplier=2)(x), scale=False),
    "subpixel": lambda x: layers.ReLU()(_norm(_up(x, 2, use_bias=False))),
    "subpixel_relu_inside": lambda x: _up(x, 2, activation="relu"),
    "overlapping": lambda x: layers.ReLU()(_norm(_up(x, 4, use_bias=False), center=False)),
    "norm_alone": lambda x: layers.ReLU()(_norm(layers.MaxPooling2D(2)(x))),
    "prelu": lambda x: _prelu(_conv(x)),
    "prelu_shared": lambda x: _prelu(_conv(x), shared_axes=(1, 2, 3)),
    "sum_of_three": lambda x: layers.ReLU()(layers.Add()([x, _conv(x, 4), _conv(x, 4)])),
    "concat": lambda x: layers.Concatenate()([layers.Dropout(0.5)(_conv(x)), x]),
    "gate": _gate,
    "silu": lambda x: _conv(x, activation="silu"),
    "tanh_leaky": lambda x: layers.LeakyReLU(0.1)(layers.Activation("tanh")(x)),
    "geometry": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(
        layers.AveragePooling2D(2)(layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x)))
    ),
    "nearest": lambda x: layers.UpSampling2D(2)(layers.Identity()(x)),
}
