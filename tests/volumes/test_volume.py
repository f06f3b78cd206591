"""The canonical volume."""

import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.volumes import Volume, canonical_affine


def a_volume(dtype: type = np.int16) -> Volume:
    return Volume(np.zeros((2, 3, 4), dtype), canonical_affine((5.0, 0.8, 0.7)), "case_7")


def test_units_and_axes() -> None:
    volume = a_volume()
    assert volume.shape == (2, 3, 4)
    assert volume.spacing_mm == pytest.approx((5.0, 0.8, 0.7))
    assert volume.voxel_volume_ml == pytest.approx(5.0 * 0.8 * 0.7 / 1000)
    assert volume.orientation == "LPS"


def test_canonical_affine_leads_to_left_posterior_superior() -> None:
    affine = canonical_affine((5.0, 0.8, 0.7), first_voxel_mm=(10.0, 20.0, 30.0))
    x, y, z = 2, 3, 4
    np.testing.assert_allclose(affine @ (x, y, z, 1), (10 - 2 * 0.7, 20 - 3 * 0.8, 30 + 4 * 5.0, 1))


def test_the_affine_cannot_be_changed() -> None:
    affine = canonical_affine((1.0, 1.0, 1.0))
    volume = Volume(np.zeros((1, 1, 1), np.uint8), affine, "a")
    affine[0, 0] = 7
    assert volume.affine[0, 0] == -1
    with pytest.raises(ValueError, match="read-only"):
        volume.affine[0, 0] = 7


def test_with_array_keeps_case_and_geometry() -> None:
    ct = a_volume()
    mask = ct.with_array(np.ones(ct.shape, np.uint8))
    assert mask.case_id == "case_7"
    assert mask.array.dtype == np.uint8
    np.testing.assert_array_equal(mask.affine, ct.affine)
    with pytest.raises(GeometryError, match=r"case_7.*\(2, 3, 4\).*\(2, 3, 5\)"):
        ct.with_array(np.ones((2, 3, 5), np.uint8))


@pytest.mark.parametrize(
    ("array", "affine", "message"),
    [
        (np.zeros((3, 4), np.int16), canonical_affine((1, 1, 1)), r"'c'.*\(3, 4\)"),
        (np.zeros((3, 0, 4), np.int16), canonical_affine((1, 1, 1)), "non-empty"),
        (np.zeros((3, 3, 4), np.float32), canonical_affine((1, 1, 1)), "float32"),
        (np.zeros((3, 3, 4), np.int16), np.eye(4), r"LPS\+"),
        (np.zeros((3, 3, 4), np.int16), np.zeros((4, 4)), r"LPS\+"),
        (np.zeros((3, 3, 4), np.int16), np.eye(3), "4 x 4"),
        (np.zeros((3, 3, 4), np.int16), np.full((4, 4), np.nan), "4 x 4"),
    ],
)
def test_what_is_no_volume(array: np.ndarray, affine: np.ndarray, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        Volume(array, affine, "c")
