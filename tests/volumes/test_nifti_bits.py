"""Every bit of a compressed file is checked before its voxels are believed."""

import gzip
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.inference.file_prediction import predict_file
from tfkd.inference.volume_predictor import VolumePredictor
from tfkd.volumes import NiftiSlices, PreprocessSpec, read_volume

AFFINE = np.diag([-0.75, -0.5, 3.0, 1.0])


@pytest.fixture
def packed() -> bytes:
    hu = np.random.default_rng(0).integers(-900, 900, (24, 24, 20)).astype(np.int16)
    return gzip.compress(nib.Nifti1Image(hu, AFFINE).to_bytes(), 6)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "p7.nii.gz"


def streamed(path: Path) -> np.ndarray:
    return np.stack(list(NiftiSlices(path)))


def check_refused(path: Path, words: str = "") -> None:
    for read in (read_volume, streamed):
        with pytest.raises(GeometryError, match=words) as caught:
            read(path)
        assert f"Case 'p7', file {path}" in str(caught.value)


def test_a_flipped_bit_is_an_error_or_changes_nothing(packed: bytes, file: Path) -> None:
    file.write_bytes(packed)
    truth = read_volume(file).array
    same = 0
    for bit in np.random.default_rng(1).integers(0, 8 * len(packed), 150):
        raw = bytearray(packed)
        raw[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(raw)
        for read in (lambda path: read_volume(path).array, streamed):
            try:
                received = read(file)
            except GeometryError:
                continue
            np.testing.assert_array_equal(received, truth)
            same += 1  # such as the time in the gzip header
    assert same <= 4


def test_what_follows_the_voxels(packed: bytes, file: Path) -> None:
    for raw in (packed[:-1], packed[:-4], packed[:-8], packed[:-100]):
        file.write_bytes(raw)
        check_refused(file, "cut short")
    file.write_bytes(packed + b"garbage")
    check_refused(file, "damaged")
    file.write_bytes(packed + packed)
    check_refused(file, "something was added")


def test_a_file_in_several_members_is_one_file(packed: bytes, file: Path) -> None:
    file.write_bytes(packed)
    truth = read_volume(file).array
    whole = gzip.decompress(packed)
    members = b"".join(gzip.compress(whole[k : k + 1000]) for k in range(0, len(whole), 1000))
    file.write_bytes(members + bytes(512))  # as tools for blocks and tapes write it
    np.testing.assert_array_equal(read_volume(file).array, truth)
    np.testing.assert_array_equal(streamed(file), truth)


def predictor() -> VolumePredictor:
    return VolumePredictor(
        lambda images: np.zeros((*images.shape[:3], 2), np.float32),
        PreprocessSpec(size=(16, 16)),
        ("background", "liver"),
    )


def test_no_mask_is_left_of_a_damaged_ct(packed: bytes, file: Path, tmp_path: Path) -> None:
    raw = bytearray(packed)
    raw[-6] ^= 1  # the checksum: every voxel is right up to here
    file.write_bytes(raw)
    with pytest.raises(GeometryError, match=r"p7\.nii\.gz.*damaged"):
        predict_file(predictor(), NiftiSlices(file), tmp_path / "out" / "mask.nii.gz")
    assert not list(tmp_path.rglob("*mask*"))


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "loop.nii").symlink_to("loop.nii")
    (tmp_path / "dangling.nii").symlink_to("nowhere")
    (tmp_path / "folder.nii.gz").mkdir()
    os.mkfifo(tmp_path / "pipe.nii.gz")
    for name, words in {
        "loop.nii": "symbolic links",
        "dangling.nii": "a link to one that is not there",
        "folder.nii.gz": "a folder",
        "pipe.nii.gz": "a pipe",
        f"{'a' * 300}.nii": "name too long",
        "a\0.nii": "null",
    }.items():
        for read in (read_volume, NiftiSlices):
            with pytest.raises(GeometryError, match=f"(?i)file .*{words}"):
                read(tmp_path / name)


def test_a_file_that_may_not_be_read(
    packed: bytes, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(packed)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    check_refused(file, "Permission denied")
