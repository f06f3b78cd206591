"""Averaging with the mirror image."""

import numpy as np

from tfkd.inference import mirrored


def _uneven(images):
    """Logits that depend on the column."""
    return images * np.arange(images.shape[2], dtype=np.float32)[:, None]


def test_average_with_the_mirror_image():
    images = np.random.default_rng(0).normal(size=(2, 3, 4, 1)).astype(np.float32)
    received = mirrored(_uneven)(images)
    np.testing.assert_allclose(received, images * 1.5, rtol=1e-6)


def test_a_mirrored_slice_has_the_mirrored_logits():
    images = np.random.default_rng(0).normal(size=(1, 3, 5, 2)).astype(np.float32)

    def logits_fn(images):
        return np.cumsum(images, axis=2)

    received = mirrored(logits_fn)(images[:, :, ::-1])
    np.testing.assert_allclose(received, mirrored(logits_fn)(images)[:, :, ::-1], rtol=1e-5)
