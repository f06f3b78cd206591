"""Which CTs a path means."""

from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.volumes import NiftiSlices, Volume, canonical_affine, find_cts, open_ct, write_volume


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_file_is_itself_whether_or_not_it_is_there(tmp_path: Path) -> None:
    assert find_cts(tmp_path / "ct.nii.gz") == [tmp_path / "ct.nii.gz"]


def test_a_folder_is_its_nifti_files_but_for_masks(tmp_path: Path) -> None:
    _touch(tmp_path, "b.nii", "a.nii.gz", "a_mask.nii.gz", ".hidden.nii", "notes.txt", "sub/c.nii")
    _touch(tmp_path, "a_mask_p1_liver.nii.gz", "b_mask_p2_left_kidney.nii")
    assert find_cts(tmp_path) == [tmp_path / "a.nii.gz", tmp_path / "b.nii"]


def test_a_folder_of_other_files_is_a_series(tmp_path: Path) -> None:
    _touch(tmp_path, "series/IM0001", "series/IM0002")
    assert find_cts(tmp_path / "series") == [tmp_path / "series"]


def test_a_folder_of_folders_is_what_they_are(tmp_path: Path) -> None:
    _touch(tmp_path, "p2/IM0001", "p1/x.nii", "p1/y.nii", "p3/deep/IM0001", ".cache/x")
    expected = ["p1/x.nii", "p1/y.nii", "p2", "p3/deep"]
    assert find_cts(tmp_path) == [tmp_path / name for name in expected]


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="an empty folder"):
        find_cts(tmp_path)
    _touch(tmp_path, "a_mask.nii.gz")
    with pytest.raises(GeometryError, match="nothing but masks"):
        find_cts(tmp_path)


def test_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Volume(np.zeros((2, 3, 4), np.int16), canonical_affine((1.0, 2.0, 3.0)), "a")
    write_volume(volume, tmp_path / "a.nii")
    ct = open_ct(tmp_path / "a.nii", identity_affine="LPS")
    assert isinstance(ct, NiftiSlices)
    assert ct.spacing_mm == volume.spacing_mm
    pytest.importorskip("pydicom", reason="the extra tfkd[dicom] is not installed")
    with pytest.raises(GeometryError, match="no DICOM file"):
        open_ct(tmp_path)
