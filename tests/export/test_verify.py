"""Figures of a comparison, by hand."""

import math

import numpy as np
import pytest

from tfkd.errors import ExportError
from tfkd.export.verify import Comparison, check, compare
from tfkd.inference import QUANTIZATIONS


def _logits(masks, classes=3):
    """Return a logits function that gives the next mask at each call."""
    calls = iter(masks)
    return lambda images: np.eye(classes, dtype=np.float32)[next(calls)][None]


def test_by_hand():
    expected = np.array([[[0, 0], [1, 1]], [[0, 0], [0, 1]]])
    received = np.array([[[0, 0], [1, 1]], [[0, 0], [1, 1]]])
    figures = compare(_logits(expected), _logits(received), np.zeros((2, 2, 2, 1)), "calibration")
    assert figures.agreement == 7 / 8
    assert figures.label_dice[:2] == pytest.approx((2 * 4 / 9, 2 * 3 / 7))
    assert math.isnan(figures.label_dice[2])  # neither finds it
    # One pixel of eight with a difference of (1, -1, 0), against zeros and ones of mean 1/3.
    assert figures.logits_error == pytest.approx(math.sqrt(2 / 24) / math.sqrt(1 / 3 - 1 / 9))


def test_equal_is_perfect():
    masks = np.array([[[0, 1], [2, 1]]])
    figures = compare(_logits(masks), _logits(masks), np.zeros((1, 2, 2, 1)), "synthetic")
    assert (figures.agreement, figures.label_dice, figures.logits_error) == (1.0, (1.0,) * 3, 0.0)
    check(figures, "float32", 1.0, "s")


def test_labels_alone_do_not_pass():
    figures = Comparison(4, "synthetic", 1.0, (1.0, math.nan), 0.9)
    for quantization in (*QUANTIZATIONS, "int8_mixed"):
        with pytest.raises(ExportError, match=r"received 1\.0000 and 0\.9 on 4 synthetic slices"):
            check(figures, quantization, 0.99, "s")


def test_a_limit_of_0_accepts_all():
    check(Comparison(4, "synthetic", 0.1, (0.0, 0.0), 3.0), "int8", 0.0, "s")


def test_nan_is_refused():
    def broken(images):
        return np.full((1, 2, 2, 3), np.nan)

    with pytest.raises(ExportError, match="the exported file: expected finite"):
        compare(_logits(np.zeros((1, 2, 2), int)), broken, np.zeros((1, 2, 2, 1)), "synthetic")
