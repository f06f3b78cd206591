"""Tiny students whose labels mean something, without training."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from tfkd.volumes import PreprocessSpec, window

SIZE = 32


def _tissue_student(
    size: int = SIZE,
    channels: int = 1,
    middle: Callable[[keras.KerasTensor], keras.KerasTensor] = lambda x: x,
) -> keras.Model:
    """Return a net that labels by grey value: 0 below about 40 HU, 1 below about 120 HU, else 2.

    Strided conv, BatchNorm, PReLU and bilinear upsampling around two smoothing kernels, so that the
    converter has something to fold and to resize. `middle` is put between, at half the size.
    """
    image = keras.Input((size, size, channels), name="ct")
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.PReLU(shared_axes=[1, 2], name="act")(x)
    x = middle(x)
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
    logits = keras.layers.Conv2D(3, 1, name="head")(x)
    model = keras.Model(image, logits, name="tissue")
    stem = np.zeros(model.get_layer("stem").kernel.shape, np.float32)
    stem[..., channels // 2, :] = np.array([1.0, -1.0, 0.5, -0.5]) / 9
    model.get_layer("stem").set_weights([stem])
    gamma, beta, mean, variance = np.ones((4, 4), np.float32)
    model.get_layer("norm").set_weights([gamma * 1.5, beta * 0.1, mean * 0.05, variance])
    # Lines in the grey value v, highest in turn: 0, then 4 v, then 10 v - 4.8.
    v = np.array([1.0, 0.0, 0.0, 0.0], np.float32)
    head = np.stack([0 * v, 4 * v, 10 * v], axis=-1)[None, None]
    model.get_layer("head").set_weights([head, np.array([0.0, 0.0, -4.8], np.float32)])
    return model


@pytest.fixture(scope="session")
def make_student() -> Callable[..., keras.Model]:
    return _tissue_student


@pytest.fixture(scope="session")
def student() -> keras.Model:
    return _tissue_student()


@pytest.fixture(scope="session")
def spec() -> PreprocessSpec:
    return PreprocessSpec(size=(SIZE, SIZE))


@pytest.fixture(scope="session")
def ct_slices(spec: PreprocessSpec) -> np.ndarray:
    """Return (24, 32, 32, 1) windowed slices."""
    from tfkd.export.synthetic import synthetic_slices

    return window(synthetic_slices(spec, 24, noise_hu=10.0, seed=3), spec)
