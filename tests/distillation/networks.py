"""Small networks with taps, batch normalisation and everything a Distiller must leave alone."""

import keras
import numpy as np
from keras import layers

SIZE, CLASSES = 16, 3


def network(
    channels: int,
    *,
    classes: int = CLASSES,
    size: int = SIZE,
    regularizer: str | None = None,
    seed: int = 0,
    dtype: str | None = None,
) -> keras.Model:
    """Logits at full size; features at 1/2 and 1/4 under the usual names."""
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((size, size, 1), name="image")
    for k, tap in enumerate(("tap_low", "tap_high")):
        x = layers.Conv2D(
            channels * (k + 1),
            3,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_regularizer=regularizer,
            dtype=dtype,
        )(x)
        x = layers.BatchNormalization(momentum=0.9, dtype=dtype)(x)
        x = layers.Activation("relu", name=tap, dtype=dtype)(x)
    x = layers.Conv2D(classes, 1, dtype=dtype)(x)
    outputs = layers.UpSampling2D(4, interpolation="bilinear", name="logits", dtype=dtype)(x)
    return keras.Model(inputs, outputs)


def slices(count: int = 8, size: int = SIZE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images whose bright blocks are classes 1 and 2; the last image has background only."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, size, size), "int32")
    for mask in masks[:-1]:
        for label in (1, 2):
            row, column = rng.integers(0, size - 6, 2)
            mask[row : row + 6, column : column + 6] = label
    images = masks[..., None] + 0.2 * rng.normal(size=(count, size, size, 1))
    return images.astype("float32"), masks


def weights_of(model: keras.Model) -> list[np.ndarray]:
    """Copies of every variable."""
    return [np.array(variable) for variable in model.weights]


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    """Bit by bit."""
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
