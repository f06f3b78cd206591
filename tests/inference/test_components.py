"""Components of slices, against scipy on the whole region."""

import numpy as np
import pytest
from scipy import ndimage

from tfkd.inference.components import find_components


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.6, 1.0])
@pytest.mark.parametrize("depth", [1, 2, 7])
def test_as_scipy(share, depth):
    region = np.random.default_rng(depth).random((depth, 12, 9)) < share
    expected, count = ndimage.label(region)
    found = find_components(region)
    assert len(found.sizes) == count
    np.testing.assert_array_equal(found.sizes, np.bincount(expected.ravel())[1:])
    for component in range(count):
        chosen = np.arange(count) == component
        received = [found.select(z, plane, chosen) for z, plane in enumerate(region)]
        np.testing.assert_array_equal(received, expected == component + 1)
        inner = (expected == component + 1)[1:-1, 1:-1, 1:-1]
        assert found.touches_border[component] == (inner.sum() != found.sizes[component])
