"""DICOM SEG out: the mask comes back on the CT's own slices."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.volumes import DicomSlices, Volume, VolumeSlices, canonical_affine, writing_dicom_seg

pytest.importorskip("highdicom", reason="the extra tfkd[dicom] is not installed")
import highdicom.seg
import pydicom

from tests.volumes.dicom_files import write_series

NAMES = ("background", "liver", "vessel", "tumour")


@pytest.fixture
def ct(tmp_path: Path) -> DicomSlices:
    hu = np.random.default_rng(0).integers(-1024, 3000, (5, 16, 12))
    write_series(tmp_path / "ct", hu, directions=(1, 0, 0, 0, -1, 0), SpecificCharacterSet="")
    return DicomSlices(tmp_path / "ct")


def _mask(ct: DicomSlices) -> np.ndarray:
    """Canonical (z, y, x): liver, a tumour in it, no vessel; nothing in the lowest slice."""
    mask = np.zeros(ct.shape, np.uint8)
    mask[1:, 3:9, 2:8] = 1
    mask[2, 4:6, 3:5] = 3
    return mask


def _write(ct: DicomSlices, mask: np.ndarray, path: Path) -> None:
    with writing_dicom_seg(path, ct, NAMES, "student.tflite") as write:
        for z in ct.slice_indices:
            write(mask[z])


def test_the_mask_comes_back(ct: DicomSlices, tmp_path: Path) -> None:
    mask = _mask(ct)
    _write(ct, mask, tmp_path / "seg.dcm")
    assert pydicom.dcmread(tmp_path / "seg.dcm").SOPClassUID == pydicom.uid.SegmentationStorage
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["liver", "tumour"]
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in ct.files]
    pixels = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    on_file = ct.frame.to_file(mask).transpose(2, 1, 0)  # slice, row, column
    np.testing.assert_array_equal(pixels[..., 0], on_file == 1)
    np.testing.assert_array_equal(pixels[..., 1], on_file == 3)


def test_nothing_is_left_behind_by_a_failure(ct: DicomSlices, tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="the mask is empty"):
        _write(ct, np.zeros(ct.shape, np.uint8), tmp_path / "seg.dcm")
    with (
        pytest.raises(ValueError, match="expected 5 slices, received 1"),
        writing_dicom_seg(tmp_path / "seg.dcm", ct, NAMES) as write,
    ):
        write(np.ones(ct.shape[1:]))
    assert [path.name for path in tmp_path.iterdir()] == ["ct"]


def test_what_cannot_be_is_refused_before_any_slice(
    ct: DicomSlices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = Volume(np.zeros((2, 3, 4), np.int16), canonical_affine((1.0, 1.0, 1.0)), "nifti")
    with (
        pytest.raises(GeometryError, match=r"'nifti'.*DICOM series"),
        writing_dicom_seg(tmp_path / "seg.dcm", VolumeSlices(volume), NAMES),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r"end in \.dcm"),
        writing_dicom_seg(tmp_path / "seg.nii", ct, NAMES),
    ):
        pass
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with (
        pytest.raises(ImportError, match=r'pip install "tfkd\[dicom\]"'),
        writing_dicom_seg(tmp_path / "seg.dcm", ct, NAMES),
    ):
        pass
