"""DICOM SEG out: the mask comes back on the CT's own slices."""

import functools
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.inference import VolumePredictor, predict_file
from tfkd.volumes import (
    DicomSlices,
    PreprocessSpec,
    Volume,
    VolumeSlices,
    canonical_affine,
    writing_dicom_seg,
)

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


def _anonymised(path: Path, **changes: object) -> None:
    """Write a file's attributes anew; None removes one."""
    dataset = pydicom.dcmread(path)
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)


ABSENT = (
    *("PatientBirthDate", "PatientSex", "PatientName", "PatientID", "StudyID", "StudyDate"),
    *("StudyTime", "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator"),
)


@pytest.mark.parametrize("value", [None, ""])
def test_what_may_be_empty_is(ct: DicomSlices, tmp_path: Path, value: str | None) -> None:
    for path in ct.files:
        _anonymised(path, **dict.fromkeys(ABSENT, value))
    _write(ct, _mask(ct), tmp_path / "seg.dcm")
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    assert all(tag in seg and not seg[tag].value for tag in ABSENT)


def test_what_must_be_there_is_made_and_said(ct: DicomSlices, tmp_path: Path) -> None:
    empty = dict.fromkeys(("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"), "")
    empty |= dict.fromkeys(("SeriesInstanceUID", "FrameOfReferenceUID", "SliceThickness"), "")
    for path in ct.files:
        with warnings.catch_warnings(action="ignore"):
            _anonymised(path, PatientSex="male", StudyDate="1.1.", StudyTime="noon", **empty)
    with pytest.warns(UserWarning, match="attributes of the slices are missing") as said:
        _write(ct, _mask(ct), tmp_path / "seg.dcm")
    for tag in ("PatientSex", "StudyDate", "StudyTime", *empty):
        assert tag in str(said[0].message)
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    frame = seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
    referred = frame.SourceImageSequence[0].ReferencedSOPInstanceUID
    of_files = [pydicom.dcmread(path).file_meta.MediaStorageSOPInstanceUID for path in ct.files]
    assert referred in of_files
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 2.5
    made = (seg.StudyInstanceUID, seg.FrameOfReferenceUID)
    assert all(made)
    with pytest.warns(UserWarning, match="attributes of the slices are missing"):
        _write(ct, _mask(ct), tmp_path / "again.dcm")
    again = pydicom.dcmread(tmp_path / "again.dcm")
    assert (again.StudyInstanceUID, again.FrameOfReferenceUID) == made


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SOPInstanceUID": "1.2.3"}, "tag SOPInstanceUID: expected a UID of its own"),
        ({"StudyInstanceUID": "1.2.3"}, "tag StudyInstanceUID: expected one for all slices"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.99999"}, "no DICOM SEG can refer"),
    ],
)
def test_what_highdicom_refuses_is_refused_before_the_network_runs(
    ct: DicomSlices, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    paths = ct.files[:1] if "StudyInstanceUID" in changes else ct.files
    for path in paths:
        _anonymised(path, **changes)

    def network(images: np.ndarray) -> np.ndarray:
        raise AssertionError("it was called")

    predictor = VolumePredictor(network, PreprocessSpec(size=(16, 16)), NAMES)
    writer = functools.partial(writing_dicom_seg, label_names=NAMES)
    with pytest.raises(GeometryError, match=rf"Case 'ct'.*{said}"):
        predict_file(predictor, ct, tmp_path / "new" / "seg.dcm", mask_writer=writer)
    assert not (tmp_path / "new").exists()


def test_a_real_anonymised_series(shared_data: Path, tmp_path: Path) -> None:
    """Its files have no class, study, series or UID but in their heads."""
    with pytest.warns(UserWarning, match="InstanceNumber runs from 267 to 286"):
        ct = DicomSlices(shared_data / "totalsegmentator_example" / "example_ct_dicom")
    mask = np.zeros(ct.shape, np.uint8)
    mask[4:7, 200:300, 100:250] = 1
    with pytest.warns(UserWarning, match="SOPClassUID is CT Image Storage"):
        _write(ct, mask, tmp_path / "seg.dcm")
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert seg.pixel_array.shape == (3, 512, 512)
    for frame, plane in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        x, y, z, _ = np.linalg.inv(ct.affine) @ (*(position * (-1, -1, 1)), 1)
        np.testing.assert_allclose((x, y, z % 1), 0, atol=1e-6)
        np.testing.assert_array_equal(plane, mask[round(z)])


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
