"""Drawn slices that have the grey values of an abdominal CT."""

import numpy as np

from tfkd.volumes import AIR_HU, PreprocessSpec

__all__ = ["synthetic_slices"]

# (HU, centre y, centre x, half-axis y, half-axis x) in fractions of the slice, from outside to
# inside; positions as in the radiological view, liver at the image's left.
_TISSUES = (
    (-100.0, 0.50, 0.50, 0.36, 0.44),  # fat under the skin
    (50.0, 0.50, 0.50, 0.31, 0.39),  # muscle
    (-90.0, 0.47, 0.50, 0.26, 0.34),  # fat of the belly
    (110.0, 0.42, 0.33, 0.17, 0.16),  # liver
    (60.0, 0.38, 0.30, 0.035, 0.04),  # a lesion in it
    (120.0, 0.48, 0.73, 0.09, 0.06),  # spleen
    (20.0, 0.37, 0.62, 0.09, 0.08),  # stomach
    (170.0, 0.58, 0.36, 0.06, 0.045),  # kidneys
    (170.0, 0.58, 0.65, 0.06, 0.045),
    (180.0, 0.56, 0.51, 0.025, 0.025),  # aorta
    (350.0, 0.67, 0.50, 0.07, 0.07),  # spine
)


def synthetic_slices(
    spec: PreprocessSpec, count: int, *, noise_hu: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Return slices of ellipses with the HU of abdominal tissues, each a little different.

    They serve where no patient's slice may or can be used: as the golden slice that travels with a
    model, and to compare a file with its model when no slices are given. They are too simple to
    train on; `tfkd.phantom.write_phantom_cohort` is for that.

    Args:
        spec: gives the shape.
        count: n.
        noise_hu: standard deviation of the noise.
        seed: of layout and noise.

    Returns:
        (n, H, W, C) int16 HU.
    """
    height, width, channels = spec.input_shape
    generator = np.random.default_rng(seed)
    y = ((np.arange(height) + 0.5) / height)[:, None, None]
    x = ((np.arange(width) + 0.5) / width)[None, :, None]
    depth = np.linspace(-0.01, 0.01, channels)[None, None, :]  # neighbours differ a little
    slices = np.empty((count, height, width, channels), np.int16)
    for image in slices:
        hu = np.full(image.shape, float(AIR_HU))
        size = generator.uniform(0.85, 1.1)
        for tissue_hu, centre_y, centre_x, half_y, half_x in _TISSUES:
            shift_y, shift_x = generator.uniform(-0.015, 0.015, 2)
            distance_y = (y - 0.5 - (centre_y - 0.5 + shift_y + depth) * size) / (half_y * size)
            distance_x = (x - 0.5 - (centre_x - 0.5 + shift_x) * size) / (half_x * size)
            inside = distance_y**2 + distance_x**2 < 1
            hu[inside] = tissue_hu + generator.uniform(-15, 15)
        hu += generator.normal(0.0, noise_hu, hu.shape)
        image[:] = np.rint(np.clip(hu, AIR_HU, 3071))
    return slices
