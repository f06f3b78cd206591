"""Which CTs a path means."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.volumes import NiftiSlices, Volume, canonical_affine, find_cts, open_ct, write_volume
from tfkd.volumes.ct_search import CTSearch, search_cts
from tfkd.volumes.names import name_of


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_file_is_itself_whether_or_not_it_is_there(tmp_path: Path) -> None:
    assert find_cts(tmp_path / "ct.nii.gz") == [tmp_path / "ct.nii.gz"]


def _save(path: Path, voxels: np.ndarray, stored: type | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, np.diag([-1.0, -1.0, 3.0, 1.0]), dtype=voxels.dtype)
    image.set_data_dtype(stored or voxels.dtype)
    nib.save(image, path)
    return path


def _noise(low: int, high: int, dtype: type = np.int16) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (12, 10, 4)).astype(dtype)


def _organs(*labels: int, dtype: type = np.uint8) -> np.ndarray:
    mask = np.zeros((12, 10, 4), dtype)
    for number, label in enumerate(labels):
        mask[2:9, 2 * number + 1 : 2 * number + 3, 1:3] = label
    return mask


def _reasons(search: CTSearch) -> dict[str, str]:
    return {left.path.name: left.reason for left in search.left_out}


def test_nothing_of_a_folder_is_lost(tmp_path: Path) -> None:
    _touch(tmp_path, "b.nii", "a.nii.gz", "C.NII.GZ", "a_mask.nii.gz", ".hidden.nii", "sub/c.nii")
    _touch(tmp_path, ".ct.nii.gz.Xa81")
    _touch(tmp_path, "a_mask_p1_liver.nii.gz", "b_mask_p2_left_kidney.nii", ".DS_Store", "notes.md")
    (tmp_path / "sub" / "deep" / "none").mkdir(parents=True)
    (tmp_path / "sub" / "circle").symlink_to(tmp_path)
    search = search_cts(tmp_path)
    found = ["C.NII.GZ", "a.nii.gz", "b.nii", "sub/c.nii"]
    assert search.cts == tuple(tmp_path / name for name in found)
    assert _reasons(search) == {
        "a_mask.nii.gz": "mask",
        "a_mask_p1_liver.nii.gz": "probability map",
        "b_mask_p2_left_kidney.nii": "probability map",
        ".hidden.nii": "hidden file or folder",
        ".ct.nii.gz.Xa81": "hidden file or folder",
        "notes.md": "file that is neither NIfTI nor DICOM",
        "none": "empty folder",
        "circle": "link to a folder above it",
    }
    with pytest.warns(UserWarning, match="left out") as said:
        assert find_cts(tmp_path) == list(search.cts)
    assert f"{tmp_path}: left out: 1 mask ({tmp_path / 'a_mask.nii.gz'})" in map(
        str, (line.message for line in said)
    )
    assert len(said) == 6


@pytest.mark.parametrize(
    ("name", "voxels"),
    [
        ("segmentation-0.nii.gz", _organs(1, 2)),
        ("imaging.nii.gz", _organs(1)),  # whatever its name
        ("of_255.nii", _organs(255)),
        ("empty.nii", _organs()),
        ("of_floats.nii", _organs(1, 2, dtype=np.float32)),
        ("rounded.nii", _organs(1, 2, dtype=np.float32) * np.float32(1.0000153)),
        ("with_ignored.nii", _organs(1, -1, dtype=np.int16)),
        ("wide.nii", _organs(1, 2, dtype=np.uint64)),
        ("of_another_machine.nii", _organs(1, 2, dtype=np.dtype(">u4"))),
        ("of_a_lookup_table.nii", _organs(0, 500, dtype=np.int32)),
        ("whole-ml.nii.gz", np.broadcast_to(np.arange(117, dtype=np.uint8), (9, 8, 117))),
        ("liver_mask.nii", _organs(dtype=np.int16)),
        ("labelsTr/case_001.nii", _organs(dtype=np.int16)),
    ],
)
def test_masks_are_left_out(tmp_path: Path, name: str, voxels: np.ndarray) -> None:
    _save(tmp_path / name, voxels)
    _touch(tmp_path, "ct.nii")
    assert search_cts(tmp_path).cts == (tmp_path / "ct.nii",)
    assert _reasons(search_cts(tmp_path)) == {Path(name).name: "mask"}
    if "/" not in name and "liver" not in name:
        assert _reasons(search_cts(tmp_path / name)) == {name: "mask"}


@pytest.mark.parametrize(
    ("name", "voxels"),
    [
        ("masked_ct.nii", _noise(-1000, 100)),
        ("ct_mask.nii", _noise(-1000, 100)),  # its voxels decide
        ("segmentation-0.nii", _noise(-40, 160)),
        ("of_eight_bits.nii", _noise(0, 256, np.uint8)),
        ("in_few_steps.nii", _noise(0, 100, np.uint8)),
        ("from_0_to_1.nii", _noise(0, 100).astype(np.float32) / 100),
        ("blank.nii", _organs(dtype=np.int16)),
        ("by_1024.nii", _noise(0, 2000, np.uint16)),
        ("air.nii", np.full((4, 4, 4), -1000, np.int16)),
        ("nan.nii", np.full((4, 4, 4), np.nan, np.float32)),
    ],
)
def test_cts_are_none(tmp_path: Path, name: str, voxels: np.ndarray) -> None:
    path = _save(tmp_path / "scans" / name, voxels)
    assert search_cts(path.parent) == CTSearch((path,), ())


def test_the_voxels_of_a_scaled_mask(tmp_path: Path) -> None:
    path = _save(tmp_path / "m.nii", _organs(1, 2, dtype=np.float32), stored=np.uint8)
    assert nib.load(path).dataobj.slope == pytest.approx(2 / 255)
    assert search_cts(path).cts == ()


def test_a_folder_of_other_files_is_a_series(tmp_path: Path) -> None:
    _touch(tmp_path, "series/IM0001", "series/IM0002")
    assert find_cts(tmp_path / "series") == [tmp_path / "series"]


def test_a_folder_of_folders_is_what_they_are(tmp_path: Path) -> None:
    _touch(tmp_path, "p2/IM0001", "p1/x.nii", "p1/y.nii", "p3/deep/IM0001", ".cache/x")
    _touch(tmp_path, "README", "Thumbs.db", ".DS_Store", "p4/report.pdf")
    (tmp_path / "DICOMDIR").write_bytes(
        b"\0" * 128 + b"DICM\2\0\2\0UI\x14\x001.2.840.10008.1.3.10\0"
    )
    expected = ["p1/x.nii", "p1/y.nii", "p2", "p3/deep"]
    search = search_cts(tmp_path)
    assert search.cts == tuple(tmp_path / name for name in expected)
    other = "file that is neither NIfTI nor DICOM"
    assert _reasons(search) == {
        ".cache": "hidden file or folder",
        "README": other,
        "Thumbs.db": other,
        "report.pdf": other,
        "DICOMDIR": "DICOM file that is not a CT",
    }
    (line,) = [line for line in search.lines() if "neither" in line]
    assert line.startswith("left out: 3 files that are neither NIfTI nor DICOM (")


def test_a_series_beside_files_and_a_link_to_nothing(tmp_path: Path) -> None:
    _touch(tmp_path, "a.nii")
    (tmp_path / "1.dcm").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "gone.nii.gz").symlink_to(tmp_path / "annex" / "1f2e")
    # What cannot be fetched fails when it is opened, and is not lost.
    assert search_cts(tmp_path).cts == (tmp_path / "a.nii", tmp_path / "gone.nii.gz", tmp_path)


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="Received 1 empty folder"):
        find_cts(tmp_path)
    _touch(tmp_path, "a_mask.nii.gz")
    with pytest.raises(GeometryError, match=r"Received 1 mask \(.*a_mask.nii.gz\)\. Give"):
        find_cts(tmp_path)


def test_names_are_those_that_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "deep")
    names = {"a.nii.gz": "a", "B.NII.GZ": "B", "c.d.NII": "c.d", ".": "deep", "..": "here"}
    assert {name: name_of(name) for name in names} == names
    (tmp_path / "sub-01.nii.gz").symlink_to("annex/MD5E-s3--9f86d0")
    assert name_of(tmp_path / "sub-01.nii.gz") == "sub-01"


def test_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Volume(np.zeros((2, 3, 4), np.int16), canonical_affine((1.0, 2.0, 3.0)), "a")
    write_volume(volume, tmp_path / "a.nii")
    ct = open_ct(tmp_path / "a.nii", identity_affine="LPS")
    assert isinstance(ct, NiftiSlices)
    assert ct.spacing_mm == volume.spacing_mm
    pytest.importorskip("pydicom", reason="the extra tfkd[dicom] is not installed")
    with pytest.raises(GeometryError, match="no DICOM file"):
        open_ct(tmp_path)
    (tmp_path / "1.dcm").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(GeometryError, match=r"'1'.*1\.dcm: .*the folder that holds the series"):
        open_ct(tmp_path / "1.dcm")
