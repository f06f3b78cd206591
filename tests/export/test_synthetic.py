"""Slices that look a little like CT, always the same ones."""

import numpy as np

from tfkd.export.synthetic import synthetic_slices
from tfkd.volumes import AIR_HU, PreprocessSpec

SPEC = PreprocessSpec(size=(48, 64), context_slices=1)


def test_shape_values_and_seed():
    slices = synthetic_slices(SPEC, 3, noise_hu=5.0)
    assert slices.shape == (3, 48, 64, 3)
    assert slices.dtype == np.int16
    assert slices.min() == AIR_HU
    assert slices.max() < 600
    np.testing.assert_array_equal(slices, synthetic_slices(SPEC, 3, noise_hu=5.0))
    assert not np.array_equal(slices, synthetic_slices(SPEC, 3, noise_hu=5.0, seed=1))


def test_tissues_are_there():
    for image in synthetic_slices(SPEC, 8):
        middle = image[..., 1]
        air = np.mean(middle < -900)
        soft = np.mean((middle > 80) & (middle < 140))
        assert 0.3 < air < 0.75
        assert 0.05 < soft < 0.25
        assert not np.array_equal(image[..., 0], image[..., 2])
