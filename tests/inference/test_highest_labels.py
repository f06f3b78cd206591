"""Scores to labels."""

import numpy as np
import pytest

from tfkd.inference.highest_labels import highest_labels


@pytest.mark.parametrize("shape", [(7, 5, 1), (7, 5, 4), (0, 3), (6, 256)])
def test_it_is_the_argmax(shape):
    scores = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    labels = highest_labels(scores)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, scores.argmax(axis=-1))


def test_a_tie_goes_to_the_lower_label():
    scores = np.array([[1, 1, 1], [0, 2, 2], [3, 0, 3], [-1, -2, -1]], np.float32)
    assert highest_labels(scores).tolist() == [0, 1, 0, 0]


def test_the_scores_stay_as_they_are():
    scores = np.random.default_rng(0).normal(size=(4, 4, 3)).astype(np.float32)
    before = scores.copy()
    highest_labels(scores)
    np.testing.assert_array_equal(scores, before)
