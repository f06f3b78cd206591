"""Post-processing against scipy on whole volumes, and by hand."""

import numpy as np
import pytest
from scipy import ndimage

from tfkd.errors import ContractError
from tfkd.inference import Postprocessing, clean_mask
from tfkd.volumes import SliceFile

NAMES = ("background", "liver", "tumour")


def _random_mask(seed: int, shape=(9, 20, 17), share=(0.15, 0.75)) -> np.ndarray:
    """Noise, as smooth as the seed asks for: many components, with holes."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=shape), seed % 3 * 0.6)
    return np.digitize(noise, np.quantile(noise, np.cumsum(share))).astype(np.uint8)


def _largest_by_scipy(mask, label):
    parts, count = ndimage.label(mask == label)
    if count:
        sizes = np.bincount(parts.ravel())[1:]
        mask[(mask == label) & (parts != sizes.argmax() + 1)] = 0


def _filled_by_scipy(mask, label):
    mask[ndimage.binary_fill_holes(mask == label) & (mask == 0)] = label


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("largest", "holes"),
    [((), NAMES[1:]), (NAMES[1:], ()), (("liver",), ("liver",)), (NAMES[1:], ("tumour", "liver"))],
)
def test_as_scipy_on_the_whole_volume(seed, largest, holes):
    mask = _random_mask(seed)
    expected = mask.copy()
    for label in (1, 2):
        if NAMES[label] in largest:
            _largest_by_scipy(expected, label)
    for label in (1, 2):
        if NAMES[label] in holes:
            _filled_by_scipy(expected, label)
    assert not np.array_equal(expected, mask)
    with SliceFile(mask.shape) as on_disk:
        for z, plane in enumerate(mask):
            on_disk[z] = plane
        clean_mask(on_disk, NAMES, Postprocessing(largest, holes))
        np.testing.assert_array_equal([on_disk[z] for z in range(len(mask))], expected)
    clean_mask(mask, NAMES, Postprocessing(largest, holes))
    np.testing.assert_array_equal(mask, expected)


def test_a_component_that_parts_and_meets_again_is_one():
    """A U on its side: two prongs that meet in the last slice only."""
    mask = np.zeros((4, 3, 9), np.uint8)
    mask[:, 1, 1] = mask[:, 1, 7] = mask[3, 1, 1:8] = 1
    mask[0, 1, 4] = 1  # alone
    clean_mask(mask, NAMES, Postprocessing(largest_component=("liver",)))
    assert mask.sum() == 13
    assert mask[0, 1, 4] == 0


def _shell() -> np.ndarray:
    mask = np.zeros((5, 5, 5), np.uint8)
    mask[1:4, 1:4, 1:4] = 1
    mask[2, 2, 2] = 0
    return mask


def test_a_hole_is_closed_on_all_sides():
    holes = Postprocessing(fill_holes=("liver",))
    shell = _shell()
    clean_mask(shell, NAMES, holes)
    assert shell[2, 2, 2] == 1
    tunnel = _shell()
    tunnel[:, 2, 2] = 0  # closed in every slice, open at the ends
    expected = tunnel.copy()
    clean_mask(tunnel, NAMES, holes)
    np.testing.assert_array_equal(tunnel, expected)


def test_what_the_scan_cuts_is_no_hole():
    cut = _shell()[2:]
    expected = cut.copy()
    clean_mask(cut, NAMES, Postprocessing(fill_holes=("liver",)))
    np.testing.assert_array_equal(cut, expected)


def test_a_tumour_inside_stays_and_its_specks_become_liver():
    mask = np.ones((7, 7, 7), np.uint8)
    mask[2:5, 2:4, 2:4] = 2
    mask[5, 5, 5] = 2
    clean_mask(mask, NAMES, Postprocessing(("tumour",), ("liver",)))
    assert mask[5, 5, 5] == 1
    assert (mask == 2).sum() == 12


@pytest.mark.parametrize("label", [0, 2])
def test_absent_labels_are_left_alone(label):
    mask = np.full((3, 4, 5), label, np.uint8)
    clean_mask(mask, NAMES, Postprocessing(NAMES[1:], NAMES[1:]))
    assert (mask == label).all()


def test_an_unknown_label_is_an_error():
    with pytest.raises(ContractError, match=r"'fill_holes'.*received \['spleen'\]"):
        clean_mask(_shell(), NAMES, Postprocessing(fill_holes=("spleen",)))
