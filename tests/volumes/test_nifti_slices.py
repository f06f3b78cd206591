"""Slice by slice gives what the whole volume gives, for any layout on disk."""

import gzip
import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations

from tfkd.errors import GeometryError
from tfkd.volumes import (
    NiftiSlices,
    Volume,
    VolumeSlices,
    axis_spool,
    canonical_affine,
    nifti_slices,
    read_volume,
    write_volume,
    writing_slices,
)

SHAPE_XYZ = (4, 5, 6)
AFFINE = nib.affines.from_matvec(np.diag([-0.7, -0.8, 3.0]), (120.5, -33.25, -400.0))
ORIENTATIONS = [
    np.array(list(zip(axes, signs, strict=True)), float)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several slabs and blocks even of tiny volumes, the last ones incomplete."""
    monkeypatch.setattr(nifti_slices, "_SLAB", 2)
    monkeypatch.setattr(axis_spool, "_BLOCK_BYTES", 200)


def _save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE, kind=nib.Nifti1Image):
    nib.save(kind(voxels, affine), path)
    return path


def _hu_xyz(shape: tuple[int, ...] = SHAPE_XYZ) -> np.ndarray:
    return np.random.default_rng(0).integers(-1024, 3000, shape).astype(np.int16)


def _stacked(slices: NiftiSlices) -> np.ndarray:
    """All slices, put where they say they belong."""
    array = np.empty(slices.shape, np.int16)
    for z, plane in zip(slices.slice_indices, slices, strict=True):
        array[z] = plane
    return array


def _assert_streams_as_a_whole(path: Path, folder: Path) -> None:
    volume, slices = read_volume(path), NiftiSlices(path)
    assert (slices.case_id, slices.shape) == (volume.case_id, volume.shape)
    assert slices.spacing_mm == volume.spacing_mm
    assert slices.voxel_volume_ml == volume.voxel_volume_ml
    np.testing.assert_array_equal(slices.affine, volume.affine)
    np.testing.assert_array_equal(_stacked(slices), volume.array)
    np.testing.assert_array_equal(_stacked(slices), volume.array)  # a second reading
    mask = volume.with_array((volume.array > 0).astype(np.uint8))
    write_volume(mask, folder / "whole.nii.gz")
    with writing_slices(folder / "streamed.nii.gz", slices) as write:
        for z in slices.slice_indices:
            write(mask.array[z])
    whole, streamed = ((folder / f"{name}.nii.gz").read_bytes() for name in ("whole", "streamed"))
    assert gzip.decompress(streamed) == gzip.decompress(whole)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_all_48_orientations(tmp_path: Path, orientation: np.ndarray) -> None:
    on_disk = orientations.apply_orientation(_hu_xyz(), orientation)
    affine = AFFINE @ orientations.inv_ornt_aff(orientation, SHAPE_XYZ)
    _assert_streams_as_a_whole(_save(tmp_path / "ct.nii.gz", on_disk, affine), tmp_path)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair])
@pytest.mark.parametrize("dtype", [np.int16, ">i2", np.uint8, np.int32, np.float32, np.float64])
def test_files_of_any_kind_and_number_type(tmp_path: Path, kind: type, dtype: str) -> None:
    voxels = (_hu_xyz() % 200).astype(dtype)
    suffix = "img" if kind is nib.Nifti1Pair else "nii"
    path = _save(tmp_path / f"ct.{suffix}", voxels, kind=kind)
    _assert_streams_as_a_whole(path, tmp_path)


@pytest.mark.parametrize(("slope", "inter"), [(0.1, -1000.3), (1.0, -1024.0), (2.0, 0.0)])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_slope_and_intercept(tmp_path: Path, slope: float, inter: float, dtype: type) -> None:
    image = nib.Nifti1Image((_hu_xyz((40, 30, 5)) % 256).astype(dtype), AFFINE)
    image.header.set_slope_inter(slope, inter)
    nib.save(image, tmp_path / "ct.nii")
    _assert_streams_as_a_whole(tmp_path / "ct.nii", tmp_path)


def test_a_trailing_axis_of_length_1(tmp_path: Path) -> None:
    path = _save(tmp_path / "ct.nii.gz", _hu_xyz()[..., None])
    _assert_streams_as_a_whole(path, tmp_path)


def test_an_identity_affine_is_a_warning(tmp_path: Path) -> None:
    path = _save(tmp_path / "ct.nii.gz", _hu_xyz(), np.eye(4))
    with pytest.warns(UserWarning, match="identity affine"):
        slices = NiftiSlices(path, identity_affine="LAS")
    assert slices.origin is not None
    assert slices.origin.orientation == "LAS"


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
@pytest.mark.parametrize("axis", [0, 2])
def test_a_file_cut_short(tmp_path: Path, suffix: str, axis: int) -> None:
    orientation = (
        np.array([[2, 1], [1, 1], [0, 1]]) if axis == 0 else np.array([[0, 1], [1, 1], [2, 1]])
    )
    hu = _hu_xyz((30, 20, 10))
    affine = AFFINE @ orientations.inv_ornt_aff(orientation, hu.shape)
    path = tmp_path / f"ct.{suffix}"
    _save(path, orientations.apply_orientation(hu, orientation), affine)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(GeometryError, match=r"Case 'ct', file .*damaged or cut short"):
        list(NiftiSlices(path))


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "finite HU"), (40000.0, "HU that fit int16")]
)
def test_what_is_not_hu(tmp_path: Path, value: float, message: str) -> None:
    voxels = _hu_xyz().astype(np.float32)
    voxels[1, 2, 5] = value
    path = _save(tmp_path / "ct.nii.gz", voxels)
    with pytest.raises(GeometryError, match=f"Case 'ct'.*{message}"):
        list(NiftiSlices(path))


def test_missing_and_colourful_files(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match=r"ct\.nii: there is no such file"):
        NiftiSlices(tmp_path / "ct.nii")
    colours = np.zeros(SHAPE_XYZ, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    path = _save(tmp_path / "colours.nii", colours)
    with pytest.raises(GeometryError, match="one number a voxel"):
        list(NiftiSlices(path))


def test_a_volume_in_memory_is_a_source_too(tmp_path: Path) -> None:
    volume = Volume(_hu_xyz().transpose(2, 1, 0), canonical_affine((3.0, 0.8, 0.7)), "made")
    slices = VolumeSlices(volume)
    np.testing.assert_array_equal(np.stack(list(slices)), volume.array)
    assert slices.spacing_mm == volume.spacing_mm
    mask = volume.with_array((volume.array > 0).astype(np.uint8))
    write_volume(mask, tmp_path / "whole.nii")
    with writing_slices(tmp_path / "streamed.nii", slices) as write:
        for plane in mask.array:
            write(plane)
    assert (tmp_path / "streamed.nii").read_bytes() == (tmp_path / "whole.nii").read_bytes()


def test_a_slope_and_a_type_of_its_own(tmp_path: Path) -> None:
    slices = VolumeSlices(Volume(np.zeros((2, 3, 4), np.int16), canonical_affine((1.0,) * 3), "a"))
    with writing_slices(tmp_path / "p.nii.gz", slices, np.int16, slope=1e-4) as write:
        for number in (0, 10000):
            write(np.full((3, 4), number))
    image = nib.load(tmp_path / "p.nii.gz")
    assert image.get_data_dtype() == np.int16
    np.testing.assert_allclose(image.get_fdata()[..., 1], 1.0, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 2])
def test_an_unfinished_file_does_not_appear(tmp_path: Path, axis: int) -> None:
    orientation = (
        np.array([[2, 1], [1, 1], [0, 1]]) if axis == 0 else np.array([[0, 1], [1, 1], [2, 1]])
    )
    affine = AFFINE @ orientations.inv_ornt_aff(orientation, SHAPE_XYZ)
    on_disk = orientations.apply_orientation(_hu_xyz(), orientation)
    slices = NiftiSlices(_save(tmp_path / "ct.nii", on_disk, affine))
    with (
        pytest.raises(ValueError, match="Case 'ct': expected 6 slices, received 1"),
        writing_slices(tmp_path / "mask.nii.gz", slices) as write,
    ):
        write(np.zeros((5, 4)))
    assert [path.name for path in tmp_path.iterdir()] == ["ct.nii"]


def test_writing_refuses_another_suffix(tmp_path: Path) -> None:
    slices = NiftiSlices(_save(tmp_path / "ct.nii", _hu_xyz()))
    with pytest.raises(ValueError, match=r"\.nii or \.nii\.gz"), writing_slices("m.png", slices):
        pass
