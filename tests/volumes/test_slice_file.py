"""A stack of slices on disk, used as an array."""

import numpy as np
import pytest

from tfkd.volumes import SliceFile


def test_slices_are_read_and_replaced():
    with SliceFile((3, 2, 4), np.int16) as slices:
        assert len(slices) == 3
        assert slices.shape == (3, 2, 4)
        slices[2] = np.arange(8).reshape(2, 4)
        slices[1] = np.full((2, 4), 7)
        slices[1] = np.asfortranarray(np.arange(8, 16).reshape(2, 4))
        expected = np.zeros((3, 2, 4), np.int16)
        expected[2] = np.arange(8).reshape(2, 4)
        expected[1] = np.arange(8, 16).reshape(2, 4)
        np.testing.assert_array_equal([slices[z] for z in range(3)], expected)
        assert slices[0].dtype == np.int16


def test_wrong_slices_are_refused():
    with SliceFile((3, 2, 4)) as slices:
        with pytest.raises(ValueError, match=r"shape \(2, 4\), received \(4, 2\)"):
            slices[0] = np.zeros((4, 2))
        for z in (-1, 3):
            with pytest.raises(IndexError, match=f"0 to 2, received {z}"):
                slices[z]
