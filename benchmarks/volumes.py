"""From a CT to the network's input, and from its scores to the mask's grid."""

import numpy as np

from tfkd.volumes import PreprocessSpec
from tfkd.volumes.preprocess import fit_image, fit_mask, unfit_scores, window


class Slice:
    """One slice of the size given in the parameter, to and from 256 × 256."""

    params = (128, 512)

    def setup(self, size: int) -> None:
        rng = np.random.default_rng(0)
        self.spec = PreprocessSpec(size=(256, 256))
        self.image_hu = rng.integers(-1000, 1000, (size, size)).astype(np.int16)
        self.mask = rng.integers(0, 3, (size, size)).astype(np.uint8)
        self.scores = rng.normal(size=(256, 256, 3)).astype(np.float32)

    def time_fit_and_window(self, size: int) -> None:
        window(fit_image(self.image_hu, self.spec, (0.7, 0.7)), self.spec)

    def time_fit_mask(self, size: int) -> None:
        fit_mask(self.mask, self.spec, (0.7, 0.7))

    def time_unfit_scores(self, size: int) -> None:
        unfit_scores(self.scores, self.spec, (size, size), (0.7, 0.7))
