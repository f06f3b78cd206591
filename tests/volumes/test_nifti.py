"""NIfTI in and out: any layout on disk is one canonical volume, and goes back to that layout."""

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations
from scipy.spatial.transform import Rotation

from tfkd.errors import GeometryError
from tfkd.volumes import (
    Volume,
    canonical_affine,
    check_same_geometry,
    read_volume,
    write_volume,
)

# An LPS+ volume of 4 x 5 x 6 (x, y, z) voxels, tilted by a few degrees.
SHAPE_XYZ = (4, 5, 6)
TILTED = np.eye(4)
TILTED[:3, :3] = Rotation.from_euler("xyz", (7, -4, 3), degrees=True).as_matrix() @ np.diag(
    [-0.7, -0.8, 3.0]
)
TILTED[:3, 3] = (120.5, -33.25, -400.0)

ORIENTATIONS = [
    np.array(list(zip(axes, signs, strict=True)), float)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def hu_xyz() -> np.ndarray:
    return np.random.default_rng(0).integers(-1024, 3000, SHAPE_XYZ).astype(np.int16)


def save(path: Path, array: np.ndarray, affine: np.ndarray, **codes: int) -> Path:
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, code=codes.get("sform", 1))
    image.set_qform(affine, code=codes.get("qform", 1))
    nib.save(image, path)
    return path


def assert_same_file(left: Path, right: Path) -> None:
    """Every header field, and every voxel."""
    a, b = nib.load(left), nib.load(right)
    assert a.shape == b.shape
    np.testing.assert_array_equal(np.asarray(a.dataobj), np.asarray(b.dataobj))
    assert a.header.binaryblock == b.header.binaryblock


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_all_48_orientations(tmp_path: Path, orientation: np.ndarray) -> None:
    hu = hu_xyz()
    on_disk = orientations.apply_orientation(hu, orientation)
    affine = TILTED @ orientations.inv_ornt_aff(orientation, SHAPE_XYZ)
    file = save(tmp_path / "ct.nii", on_disk, affine)

    volume = read_volume(file)
    np.testing.assert_array_equal(volume.array, hu.transpose(2, 1, 0))
    np.testing.assert_allclose(volume.affine, TILTED, atol=1e-4)
    assert volume.spacing_mm == pytest.approx((3.0, 0.8, 0.7), abs=1e-5)
    assert volume.array.flags.c_contiguous
    assert volume.origin is not None
    assert volume.origin.orientation == "".join(nib.aff2axcodes(affine))

    write_volume(volume, tmp_path / "back.nii")
    assert_same_file(file, tmp_path / "back.nii")


@pytest.mark.parametrize(("qform", "sform"), [(0, 2), (1, 0), (1, 1), (3, 4)])
def test_codes_survive(tmp_path: Path, qform: int, sform: int) -> None:
    file = save(tmp_path / "ct.nii.gz", hu_xyz(), TILTED, qform=qform, sform=sform)
    volume = read_volume(file)
    write_volume(volume, tmp_path / "back.nii.gz")
    assert_same_file(file, tmp_path / "back.nii.gz")

    mask = volume.with_array((volume.array > 0).astype(np.uint8))
    write_volume(mask, tmp_path / "mask.nii.gz")
    written = nib.load(tmp_path / "mask.nii.gz")
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(written.affine, nib.load(file).affine)
    np.testing.assert_array_equal(np.asarray(written.dataobj), hu_xyz() > 0)


def test_qform_and_sform_that_disagree_both_survive(tmp_path: Path) -> None:
    image = nib.Nifti1Image(hu_xyz(), TILTED)
    image.set_sform(TILTED, code=2)
    image.set_qform(canonical_affine((2.0, 1.0, 1.0), (9.0, 9.0, 9.0)), code=1)
    nib.save(image, tmp_path / "ct.nii")
    with pytest.warns(UserWarning, match="the sform is used"):
        volume = read_volume(tmp_path / "ct.nii")
    write_volume(volume, tmp_path / "back.nii")
    assert_same_file(tmp_path / "ct.nii", tmp_path / "back.nii")


def test_a_trailing_axis_of_length_1_survives(tmp_path: Path) -> None:
    file = save(tmp_path / "ct.nii", hu_xyz()[..., None], TILTED)
    volume = read_volume(file)
    assert volume.shape == SHAPE_XYZ[::-1]
    write_volume(volume, tmp_path / "back.nii")
    assert_same_file(file, tmp_path / "back.nii")


def test_nifti_2_survives(tmp_path: Path) -> None:
    image = nib.Nifti2Image(hu_xyz(), TILTED)
    image.set_qform(TILTED, code=1)
    nib.save(image, tmp_path / "ct.nii")
    write_volume(read_volume(tmp_path / "ct.nii"), tmp_path / "back.nii")
    assert_same_file(tmp_path / "ct.nii", tmp_path / "back.nii")


def test_big_endian(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    image = nib.Nifti1Image(hu_xyz().astype(">i2"), TILTED, header)
    nib.save(image, tmp_path / "ct.nii")
    volume = read_volume(tmp_path / "ct.nii")
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, hu_xyz().transpose(2, 1, 0))
    write_volume(volume, tmp_path / "back.nii")
    np.testing.assert_array_equal(
        nib.load(tmp_path / "back.nii").affine, nib.load(tmp_path / "ct.nii").affine
    )


def test_slope_and_intercept_give_rounded_hu(tmp_path: Path) -> None:
    stored = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    image = nib.Nifti1Image(stored, canonical_affine((1, 1, 1), (0, 0, 5)))
    image.header.set_slope_inter(0.4, -1024)
    nib.save(image, tmp_path / "ct.nii")
    # Saving divides by the slope; put the stored numbers themselves behind the header.
    raw = bytearray((tmp_path / "ct.nii").read_bytes())
    raw[352:] = stored.tobytes(order="F")
    (tmp_path / "ct.nii").write_bytes(raw)
    expected = np.rint(stored * 0.4 - 1024).astype(np.int16)
    np.testing.assert_array_equal(
        read_volume(tmp_path / "ct.nii").array, expected.transpose(2, 1, 0)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
def test_masks_of_any_number_type(tmp_path: Path, dtype: type) -> None:
    labels = np.random.default_rng(0).integers(0, 256, SHAPE_XYZ)
    file = save(tmp_path / "mask.nii", labels.astype(dtype), TILTED)
    mask = read_volume(file, kind="mask")
    assert mask.array.dtype == np.uint8
    np.testing.assert_array_equal(mask.array, labels.transpose(2, 1, 0))


def test_case_id_is_the_file_name_unless_given(tmp_path: Path) -> None:
    file = save(tmp_path / "volume-4.nii.gz", hu_xyz(), TILTED)
    assert read_volume(file).case_id == "volume-4"
    assert read_volume(file, case_id="lits_4").case_id == "lits_4"


def test_a_volume_made_in_memory_is_written_in_canonical_axes(tmp_path: Path) -> None:
    affine = canonical_affine((3.0, 0.8, 0.7), (1.0, 2.0, 3.0))
    volume = Volume(hu_xyz().transpose(2, 1, 0), affine, "made")
    write_volume(volume, tmp_path / "made.nii.gz")
    image = nib.load(tmp_path / "made.nii.gz")
    assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
    assert (image.header["qform_code"], image.header["sform_code"]) == (1, 1)
    assert image.header.get_xyzt_units()[0] == "mm"
    back = read_volume(tmp_path / "made.nii.gz")
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-6)


def test_writing_refuses_another_suffix_and_another_size(tmp_path: Path) -> None:
    volume = read_volume(save(tmp_path / "ct.nii", hu_xyz(), TILTED))
    with pytest.raises(ValueError, match=r"\.nii or \.nii\.gz"):
        write_volume(volume, tmp_path / "mask.npy")
    cut = Volume(volume.array[1:], volume.affine, "ct", volume.origin)
    with pytest.raises(GeometryError, match=r"'ct'.*\(4, 5, 6\)"):
        write_volume(cut, tmp_path / "mask.nii")


class TestNoOrientation:
    """Files whose header does not say how the patient lies in them."""

    def test_identity_affine_is_taken_for_the_given_axes(self, tmp_path: Path) -> None:
        file = save(tmp_path / "volume-28.nii", hu_xyz(), np.eye(4))
        with pytest.warns(UserWarning, match=r"volume-28.*identity affine.*LAS.*mm"):
            volume = read_volume(file, identity_affine="LAS")
        np.testing.assert_array_equal(volume.array, hu_xyz().transpose(2, 1, 0)[:, ::-1])
        write_volume(volume, tmp_path / "back.nii")
        assert_same_file(file, tmp_path / "back.nii")

    def test_identity_affine_alone_is_read_by_the_one_rule_with_a_warning(
        self, tmp_path: Path
    ) -> None:
        file = save(tmp_path / "volume-28.nii", hu_xyz(), np.eye(4))
        with pytest.warns(UserWarning, match=r"read as LAS.*--identity-affine, identity_affine="):
            volume = read_volume(file)
        np.testing.assert_array_equal(volume.array, hu_xyz().transpose(2, 1, 0)[:, ::-1])

    def test_the_identity_can_be_taken_at_its_word(self, tmp_path: Path) -> None:
        file = save(tmp_path / "volume-28.nii", hu_xyz(), np.eye(4))
        with pytest.warns(UserWarning, match="read as RAS"):
            volume = read_volume(file, identity_affine="RAS")
        np.testing.assert_array_equal(volume.array, hu_xyz().transpose(2, 1, 0)[:, ::-1, ::-1])

    def test_without_codes_the_pixel_sizes_are_believed(self, tmp_path: Path) -> None:
        file = save(tmp_path / "ct.nii", hu_xyz(), np.diag([0.7, 0.8, 3.0, 1]), qform=0, sform=0)
        with pytest.warns(UserWarning, match="neither qform nor sform"):
            volume = read_volume(file, identity_affine="LPS")
        np.testing.assert_array_equal(volume.array, hu_xyz().transpose(2, 1, 0))
        assert volume.spacing_mm == pytest.approx((3.0, 0.8, 0.7), abs=1e-6)
        write_volume(volume, tmp_path / "back.nii")
        assert_same_file(file, tmp_path / "back.nii")

    def test_the_rule_leaves_other_files_alone(self, tmp_path: Path) -> None:
        file = save(tmp_path / "ct.nii", hu_xyz(), TILTED)
        volume = read_volume(file, identity_affine="LAS")
        np.testing.assert_array_equal(volume.array, hu_xyz().transpose(2, 1, 0))

    @pytest.mark.parametrize("codes", ["LA", "LAX", "LRS", "LASS", ""])
    def test_codes_that_name_no_three_axes(self, tmp_path: Path, codes: str) -> None:
        file = save(tmp_path / "ct.nii", hu_xyz(), np.eye(4))
        with pytest.raises(ValueError, match="identity_affine"):
            read_volume(file, identity_affine=codes)


class TestSameGeometry:
    """A CT and its mask."""

    @staticmethod
    def pair(affine: np.ndarray, shape: tuple[int, int, int] = (6, 5, 4)) -> tuple[Volume, Volume]:
        ct = Volume(np.zeros((6, 5, 4), np.int16), canonical_affine((3.0, 0.8, 0.7)), "c1")
        return ct, Volume(np.zeros(shape, np.uint8), affine, "c1")

    def test_equal(self) -> None:
        check_same_geometry(*self.pair(canonical_affine((3.0, 0.8, 0.7))), "a.nii", "b.nii")

    def test_rounded_headers_are_equal(self) -> None:
        affine = canonical_affine((3.0001, 0.8, 0.7), (1e-3, 0.0, 0.0))
        check_same_geometry(*self.pair(affine), "a.nii", "b.nii")

    def test_other_axes_on_disk_are_equal(self, tmp_path: Path) -> None:
        flip = ORIENTATIONS[29]
        ct = save(tmp_path / "ct.nii", hu_xyz(), TILTED)
        mask = save(
            tmp_path / "mask.nii",
            orientations.apply_orientation((hu_xyz() > 0).astype(np.uint8), flip),
            TILTED @ orientations.inv_ornt_aff(flip, SHAPE_XYZ),
        )
        check_same_geometry(read_volume(ct), read_volume(mask, kind="mask"), ct, mask)

    def test_shape(self) -> None:
        pair = self.pair(canonical_affine((3.0, 0.8, 0.7)), (6, 5, 3))
        with pytest.raises(GeometryError, match=r"'c1'.*a\.nii.*b\.nii.*\(6, 5, 4\).*\(6, 5, 3\)"):
            check_same_geometry(*pair, "a.nii", "b.nii")

    @pytest.mark.parametrize(
        "affine",
        [
            canonical_affine((3.0, 0.8, 0.7), (0.35, 0.0, 0.0)),
            canonical_affine((3.2, 0.8, 0.7)),
            canonical_affine((3.0, 0.8, 0.7)) @ np.diag([1, 1, 1, 1]) + np.diag([0, 0, 0.2, 0]),
        ],
    )
    def test_affine(self, affine: np.ndarray) -> None:
        with pytest.raises(GeometryError, match=r"'c1'.*a\.nii.*b\.nii.*voxels apart"):
            check_same_geometry(*self.pair(affine), "a.nii", "b.nii")


REAL_CT = {
    "lits17/volume-0.nii.gz": ("lits17/segmentation-0.nii.gz", "LPS", 1),
    "kits19/data/case_00023/imaging.nii.gz": (
        "kits19/data/case_00023/segmentation.nii.gz",
        "IPL",
        None,
    ),
    "Dataset901_AbdomenCT/imagesTr/abd_027_0000.nii.gz": (
        "Dataset901_AbdomenCT/labelsTr/abd_027.nii.gz",
        "LAS",
        None,
    ),
}


@pytest.mark.parametrize("name", REAL_CT)
def test_real_ct(tmp_path: Path, shared_data: Path, name: str) -> None:
    mask_name, codes, liver = REAL_CT[name]
    ct = read_volume(shared_data / name)
    mask = read_volume(shared_data / mask_name, kind="mask")
    check_same_geometry(ct, mask, name, mask_name)
    assert ct.origin is not None
    assert ct.origin.orientation == codes
    write_volume(mask, tmp_path / "back.nii.gz")
    assert_same_file(shared_data / mask_name, tmp_path / "back.nii.gz")
    # The spine lies at the back: the lower half of every slice holds more bone than the upper.
    bone = ct.array[:, 40:] > 140
    half = ct.shape[1] // 2
    assert bone[:, half - 40 :].sum() > bone[:, : half - 40].sum()
    if liver is not None:
        assert np.argwhere(mask.array == liver)[:, 2].mean() < ct.shape[2] / 2
