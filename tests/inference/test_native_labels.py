"""Labels on the CT's own grid are those of the scores interpolated everywhere."""

import numpy as np
import pytest
from scipy import ndimage

from tfkd.inference import native_labels as module
from tfkd.inference.highest_labels import highest_labels
from tfkd.inference.native_labels import native_labels
from tfkd.volumes import PreprocessSpec, unfit_scores

SPACING = (0.7, 0.8)
SHAPES = [
    ((32, 32), (64, 64)),  # the weights 1/4 and 3/4
    ((32, 32), (80, 96)),
    ((30, 21), (61, 97)),
    ((32, 32), (33, 32)),  # one axis stays
    ((1, 7), (5, 9)),
]


def _regions(size, classes=4, steps=False):
    """Scores of a few smooth regions; in steps, as of an int8 file, so that many are equal."""
    noise = np.random.default_rng(0).normal(size=(*size, classes))
    scores = ndimage.gaussian_filter(noise, (3, 3, 0), mode="nearest")
    scores = 40 * scores / scores.std()
    return np.float32(0.137) * (np.rint(scores) if steps else scores).astype(np.float32)


def _all_interpolated(scores, spec, shape):
    return highest_labels(unfit_scores(scores, spec, shape, SPACING))


def _forbid_full(monkeypatch):
    monkeypatch.setattr(module, "_MOST_UNCERTAIN", 1.0)
    monkeypatch.setattr(module, "unfit_scores", None)


@pytest.mark.parametrize(("size", "shape"), SHAPES)
@pytest.mark.parametrize("steps", [False, True])
def test_masks_are_those_of_the_full_computation(size, shape, steps, monkeypatch):
    scores, spec = _regions(size, steps=steps), PreprocessSpec(size=size)
    expected = _all_interpolated(scores, spec, shape)
    assert len(np.unique(expected)) > 1
    _forbid_full(monkeypatch)
    received = native_labels(scores, spec, shape, SPACING)
    assert received.dtype == np.uint8
    np.testing.assert_array_equal(received, expected)


def test_a_label_that_is_highest_only_between_pixels(monkeypatch):
    """Second on either side of a border, first in the middle of it."""
    scores = np.zeros((4, 4, 3), np.float32)
    scores[:, :2] = [10, 0, 8]
    scores[:, 2:] = [0, 10, 8]
    spec = PreprocessSpec(size=(4, 4))
    expected = _all_interpolated(scores, spec, (16, 16))
    _forbid_full(monkeypatch)
    received = native_labels(scores, spec, (16, 16), SPACING)
    assert received[0].tolist() == [0] * 7 + [2] * 2 + [1] * 7
    np.testing.assert_array_equal(received, expected)


def test_equal_scores_give_the_lower_label(monkeypatch):
    _forbid_full(monkeypatch)
    labels = native_labels(
        np.ones((4, 4, 3), np.float32), PreprocessSpec(size=(4, 4)), (9, 9), SPACING
    )
    assert not labels.any()


def test_only_borders_are_interpolated(monkeypatch):
    """A square of 8 x 8 pixels in 64 x 64: what is computed is a frame around it."""
    scores = np.zeros((64, 64, 2), np.float32)
    scores[..., 0] = 1
    scores[20:28, 30:38] = [0, 1]
    spec, counts = PreprocessSpec(size=(64, 64)), []
    interpolated = module._interpolated

    def counted(*arguments):
        counts.append(len(arguments[-1]))
        return interpolated(*arguments)

    monkeypatch.setattr(module, "_interpolated", counted)
    labels = native_labels(scores, spec, (128, 128), SPACING)
    np.testing.assert_array_equal(labels, _all_interpolated(scores, spec, (128, 128)))
    assert sum(counts) == 4 * (9 * 9 - 7 * 7)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (PreprocessSpec(size=(32, 32)), (32, 32)),  # nothing to interpolate
        (PreprocessSpec(size=(32, 32)), (20, 48)),  # enlarged along one axis
        (PreprocessSpec(size=(32, 32), fit="center"), (48, 40)),
        (PreprocessSpec(size=(32, 32), fit="center", spacing_mm=1.0), (64, 64)),
        (PreprocessSpec(size=(32, 32), fit="center", field_size=(40, 40)), (64, 64)),
    ],
)
def test_other_ways_of_fitting(spec, shape):
    scores = _regions((32, 32))
    np.testing.assert_array_equal(
        native_labels(scores, spec, shape, SPACING), _all_interpolated(scores, spec, shape)
    )


def test_noise_is_interpolated_as_a_whole(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(16, 16, 3)).astype(np.float32)
    spec = PreprocessSpec(size=(16, 16))
    monkeypatch.setattr(module, "_interpolated", None)
    np.testing.assert_array_equal(
        native_labels(scores, spec, (40, 40), SPACING), _all_interpolated(scores, spec, (40, 40))
    )


def test_scores_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\(32, 32\).*\(16, 16, 3\)"):
        native_labels(
            np.zeros((16, 16, 3), np.float32), PreprocessSpec(size=(32, 32)), (64, 64), SPACING
        )
