"""Which slices are taken: every class, up to the number, never endlessly."""

import itertools

import numpy as np
import pytest

from tfkd.errors import ExportError
from tfkd.export.calibration import select_slices
from tfkd.volumes import PreprocessSpec

SPEC = PreprocessSpec(size=(4, 4))
NAMES = ("background", "liver", "tumour")


def _textured(values):
    """Images (n, 4, 4, 1) of these grey values but for the last row, which is black and white."""
    images = np.tile(np.asarray(values, np.float32)[:, None, None, None], (1, 4, 4, 1))
    images[:, 3, :, 0] = [-1, 1, -1, 1]
    return images


def _slice(labels, value=0.0):
    """Return an image that says which slice it is, and a mask of the labels."""
    mask = np.zeros((4, 4), np.int32)
    mask.flat[: len(labels)] = labels
    return _textured([value])[0], mask


def _batches(slices, batch_size=4):
    for start in range(0, len(slices), batch_size):
        batch = slices[start : start + batch_size]
        yield tuple(np.stack(parts) for parts in zip(*batch, strict=True))


def test_rare_class_is_kept_among_many():
    common = [_slice([1], 0.1)] * 25 + [_slice([], 0.2)] * 25
    rare = [_slice([1, 2], 0.9)]
    for slices in (common + rare, rare + common):
        chosen = select_slices(_batches(slices), 6, SPEC, NAMES)
        values = [round(value, 1) for value in chosen[:, 0, 0, 0].tolist()]
        assert chosen.shape == (6, 4, 4, 1)
        assert values.count(0.9) == 1
        assert values.count(0.1) >= 2
        assert values.count(0.2) >= 2


def test_endless_dataset_ends():
    read = itertools.count()

    def endless():
        while True:
            next(read)
            yield _textured([0, 0, 0, 0]), np.ones((4, 4, 4), np.int32)

    with pytest.warns(UserWarning, match="no slice shows tumour"):
        assert len(select_slices(endless(), 5, SPEC, NAMES)) == 5
    assert next(read) <= 14  # batches of 4, 10 times 5 slices


def test_images_alone():
    images = _textured(np.linspace(-1, 1, 10))
    batches = [images[:4], images[4:8], images[8:]]
    chosen = select_slices(batches, 3, SPEC, NAMES)
    np.testing.assert_allclose(chosen, images[:3], rtol=1e-6)


def test_array_is_thinned_evenly():
    images = _textured(np.linspace(-1, 1, 9))
    chosen = select_slices(images, 3, SPEC, NAMES)
    np.testing.assert_allclose(chosen[:, 0, 0, 0], [-1, 0, 1])
    assert len(select_slices(images, 200, SPEC, NAMES)) == 9


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (np.zeros((3, 8, 8, 1)), r"shape \(4, 4, 1\), received an array of shape \(3, 8, 8, 1\)"),
        (np.zeros((0, 4, 4, 1)), "expected slices"),
        (np.zeros((4, 4, 1)), "expected slices"),
        ([], "expected slices"),
        (np.full((3, 4, 4, 1), 120.0), "expected values windowed.*received 120"),
        (np.full((3, 4, 4, 1), np.nan), "expected values windowed.*nan"),
    ],
)
def test_unusable_slices(slices, message):
    with pytest.raises(ExportError, match=message):
        select_slices(slices, 4, SPEC, NAMES)


def test_no_slice_wanted():
    with pytest.raises(ValueError, match="calibration_slices"):
        select_slices(np.zeros((3, 4, 4, 1)), 0, SPEC, NAMES)
