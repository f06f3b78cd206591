"""DICOM series in: sorted by position, in HU, and refused where slices do not make a volume."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.volumes import DicomSlices, read_volume, search_cts, writing_slices

pytest.importorskip("pydicom", reason="the extra tfkd[dicom] is not installed")
import pydicom

from tests.volumes.dicom_files import edit, write_series

HU = np.random.default_rng(0).integers(-1024, 3000, (6, 5, 4)).astype(np.int16)


def _stacked(slices: DicomSlices) -> np.ndarray:
    array = np.empty(slices.shape, np.int16)
    for z, plane in zip(slices.slice_indices, slices, strict=True):
        array[z] = plane
    return array


def test_slices_are_sorted_by_position(tmp_path: Path) -> None:
    write_series(tmp_path / "ct7", HU)
    slices = DicomSlices(tmp_path / "ct7")
    assert (slices.case_id, slices.shape, slices.descending) == ("ct7", (6, 5, 4), False)
    assert slices.spacing_mm == pytest.approx((2.5, 0.8, 0.7))
    np.testing.assert_array_equal(_stacked(slices), HU)
    # LPS (-10, -20, -300) of the first voxel's centre is RAS (10, 20, -300).
    expected = [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, -300], [0, 0, 0, 1]]
    np.testing.assert_allclose(slices.affine, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("directions", "turned"),
    [
        ((-1, 0, 0, 0, -1, 0), HU[:, ::-1, ::-1]),  # prone
        ((1, 0, 0, 0, -1, 0), HU[::-1, ::-1]),  # the normal points down
        ((0, 1, 0, 1, 0, 0), HU[::-1].transpose(0, 2, 1)),
    ],
)
def test_slices_in_other_directions(tmp_path: Path, directions, turned: np.ndarray) -> None:
    write_series(tmp_path / "ct", HU, directions=directions)
    slices = DicomSlices(tmp_path / "ct")
    np.testing.assert_array_equal(_stacked(slices), turned)
    corner = np.linalg.inv(slices.affine) @ (10, 20, -300, 1)
    x, y, z = np.rint(corner[:3]).astype(int)
    np.testing.assert_allclose(corner, np.rint(corner), atol=1e-6)
    assert turned[z, y, x] == HU[0, 0, 0]


def test_slope_and_intercept_give_rounded_hu(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU, RescaleSlope=0.5, RescaleIntercept=-100.2)
    expected = np.rint((HU.astype(float) + 1024) * 0.5 - 100.2)
    np.testing.assert_array_equal(_stacked(DicomSlices(tmp_path / "ct")), expected)


def test_a_mask_is_written_beside_it(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU, directions=(1, 0, 0, 0, -1, 0))
    slices = DicomSlices(tmp_path / "ct")
    with writing_slices(tmp_path / "mask.nii.gz", slices) as write:
        for plane in slices:
            write((plane > 0).astype(np.uint8))
    mask = read_volume(tmp_path / "mask.nii.gz", kind="mask")
    np.testing.assert_array_equal(mask.array, _stacked(slices) > 0)
    np.testing.assert_allclose(mask.affine, slices.affine, atol=1e-4)


def test_files_that_are_no_ct_are_passed_over(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    (tmp_path / "ct" / "README.txt").write_text("about the series")
    edit(paths[0], Modality="SEG", SeriesInstanceUID="1.2.3")
    said = r"passed over 2 files: README\.txt \(no DICOM\), 00_0\.dcm \(SEG\), which are not"
    with (
        pytest.warns(UserWarning, match=said),
        pytest.warns(UserWarning, match="InstanceNumber runs from 2 to 6, not from 1"),
    ):
        slices = DicomSlices(tmp_path / "ct")
    np.testing.assert_array_equal(_stacked(slices), HU[1:])
    for path in paths:
        edit(path, Modality="MR")
    with pytest.raises(GeometryError, match=r"Received DICOM files of \['MR'\]"):
        DicomSlices(tmp_path / "ct")


def test_one_slice_takes_its_thickness(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "ct", HU[:1])
    assert DicomSlices(tmp_path / "ct").spacing_mm == pytest.approx((5.0, 0.8, 0.7))
    edit(path, SliceThickness=None)
    with pytest.raises(GeometryError, match=rf"slice thickness.*{path.name}"):
        DicomSlices(tmp_path / "ct")


def _drop(paths: list[Path]) -> None:
    paths[3].unlink()


def _duplicate(paths: list[Path]) -> None:
    (paths[0].parent / "copy.dcm").write_bytes(paths[2].read_bytes())


def _tilt(paths: list[Path]) -> None:
    for index, path in enumerate(paths):
        edit(path, ImagePositionPatient=[-10.0, -20.0 + 0.3 * index, -300.0 + 2.5 * index])


def _other_series(paths: list[Path]) -> None:
    edit(paths[1], SeriesInstanceUID="1.2.3")


def _other_pixels(paths: list[Path]) -> None:
    edit(paths[4], PixelSpacing=[0.9, 0.7])


def _turned_slice(paths: list[Path]) -> None:
    edit(paths[4], ImageOrientationPatient=[0, 1, 0, -1, 0, 0])


def _sagittal(paths: list[Path]) -> None:
    for index, path in enumerate(paths):
        edit(
            path,
            ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
            ImagePositionPatient=[float(index), 0.0, 0.0],
        )


def _no_position(paths: list[Path]) -> None:
    edit(paths[2], ImagePositionPatient=None)


def _multi_frame(paths: list[Path]) -> None:
    edit(paths[2], NumberOfFrames=2)


def _nothing(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop, r"every 2\.500 mm\. Received 5\.000 mm between 03_2\.dcm and 06_4\.dcm"),
        (_duplicate, r"two at one position: (03_2|copy)\.dcm and (03_2|copy)\.dcm"),
        (_tilt, r"Received 03_2\.dcm, 0\.60 mm beside 00_0\.dcm, as with a tilted gantry"),
        (
            _other_series,
            r"one CT series\. Received 2: '1' with UID '1\.2\.3' \(number of files: 1\); .*: 5\)",
        ),
        (_other_pixels, r"one size, direction and pixel size.*06_4\.dcm: .*\[0\.9, 0\.7\] mm"),
        (_turned_slice, r"one size, direction and pixel size.*06_4\.dcm"),
        (_sagittal, r"expected axial slices"),
        (_no_position, r"03_2\.dcm, tag ImagePositionPatient: expected 3 numbers. Received none"),
        (_multi_frame, r"03_2\.dcm, tag NumberOfFrames: .*several slices in a file, '2'"),
        (_nothing, "no DICOM file"),
    ],
)
def test_what_is_no_volume_is_refused_at_once(tmp_path: Path, damage, message: str) -> None:
    damage(write_series(tmp_path / "ct", HU))
    with pytest.raises(GeometryError, match=rf"Case 'ct', folder .*{message}"):
        DicomSlices(tmp_path / "ct")


def test_unreadable_pixels_name_the_file(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    paths[2].write_bytes(paths[2].read_bytes()[:-9])
    with pytest.raises(
        GeometryError, match=r"Case 'ct', file .*03_2\.dcm, tag PixelData: the pixels cannot"
    ):
        list(DicomSlices(tmp_path / "ct"))


def test_files_named_like_the_slices_must_be_slices(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    for name in ("README", "DICOMDIR", "Thumbs.db", "a.json", ".DS_Store", "._x.dcm", "a.nii.gz"):
        (tmp_path / "ct" / name).write_bytes(b"text that is no DICOM")
    said = r"5 files: \._x\.dcm, DICOMDIR, README and 2 more \(no DICOM\), which are not slices"
    with pytest.warns(UserWarning, match=said):
        assert len(DicomSlices(tmp_path / "ct")) == 6
    whole = paths[5].read_bytes()
    damaged = [(b"", "empty"), (b"x" * 99, "no DICOM"), (whole[:140], "cut short")]
    damaged += [(whole.replace(b"CS\2\0CT", b"CS\2\0CD"), "cut short, or with an absent or unk")]
    damaged += [(whole.replace(b"CS\2\0CT", b"CS\2\0PT"), "of the CT's series, but with the Mod")]
    for content, why in damaged:
        paths[5].write_bytes(content)
        with pytest.raises(GeometryError, match=rf"named like the slices.*02_5\.dcm \({why}"):
            DicomSlices(tmp_path / "ct")


@pytest.mark.parametrize("name", ["IM{}", "{}", "CT.1.2.840.{}", "{}.IMA", "a9f{}c"])
def test_an_interrupted_copy_under_any_name(tmp_path: Path, name: str) -> None:
    for number, path in enumerate(write_series(tmp_path / "ct", HU), start=1):
        path.rename(path.with_name(name.format(number)))
    (tmp_path / "ct" / name.format(7)).touch()
    with pytest.raises(GeometryError, match=r"named like the slices.*\(empty\)"):
        DicomSlices(tmp_path / "ct")


def test_files_without_a_preamble_are_read(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    for path in paths[4:]:
        path.write_bytes(path.read_bytes()[132:])
    with pytest.warns(
        UserWarning,
        match=r"2 files were read although the DICOM preamble is missing.*02_5\.dcm, 06_4\.dcm",
    ):
        slices = DicomSlices(tmp_path / "ct")
    np.testing.assert_array_equal(_stacked(slices), HU)
    # As files of old have neither preamble nor group 2.
    dataset = pydicom.dcmread(paths[0])
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    dataset.save_as(paths[0])
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[content.index(b"\x08\x00\x16\x00") :])
    with pytest.warns(
        UserWarning, match="3 files were read although the DICOM preamble is missing"
    ):
        slices = DicomSlices(tmp_path / "ct")
    np.testing.assert_array_equal(_stacked(slices), HU)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("PixelSpacing", "", "an empty one"),
        ("PixelSpacing", b"0,78\\0,78 ", "'0,78"),
        ("PixelSpacing", [0.0, 0.7], "'0.0"),
        ("PixelSpacing", b"nan\\1 ", "'nan"),
        ("PixelSpacing", [0.7], "'0.7"),
        ("ImagePositionPatient", b"1\\2\\inf", "inf"),
        ("ImagePositionPatient", b"1\\2", "2"),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "0"),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "1"),
        ("RescaleSlope", None, "none"),
        ("RescaleSlope", "0", "'0'"),
        ("RescaleSlope", "-1", "'-1'"),
        ("RescaleIntercept", "1e30", "'1e30'"),
        ("RescaleIntercept", b"-1024,0 ", "'-1024,0'"),
        ("Rows", 0, "0"),
        ("Columns", None, "none"),
        ("BitsStored", 20, "20"),
        ("HighBit", 15, "15"),
        ("BitsAllocated", 12, "12"),
        ("PixelRepresentation", 3, "3"),
        ("SamplesPerPixel", 3, "3"),
    ],
)
def test_each_tag_is_checked(tmp_path: Path, tag: str, value: object, said: str) -> None:
    paths = write_series(tmp_path / "ct", HU)
    if tag == "HighBit":
        edit(paths[2], BitsStored=12)
    if isinstance(value, bytes):
        dataset = pydicom.dcmread(paths[2])
        element = dataset[tag]
        dataset[tag] = pydicom.dataelem.RawDataElement(
            element.tag, element.VR, len(value), value, 0, False, True
        )
        dataset.save_as(paths[2])
    else:
        with warnings.catch_warnings(action="ignore"):
            edit(paths[2], **{tag: value})
    with pytest.raises(GeometryError, match=rf"'ct', folder .*03_2\.dcm, tag {tag}: .*Received"):
        DicomSlices(tmp_path / "ct")


def test_an_absent_modality_is_seen(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU, Modality="")
    with pytest.warns(
        UserWarning, match="6 files were taken for CT although the tag Modality is empty"
    ):
        DicomSlices(tmp_path / "ct")
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ""
        dataset.save_as(path)
    with pytest.warns(UserWarning, match="were taken for CT"):
        DicomSlices(tmp_path / "ct")


def test_what_the_numbering_tells_of_the_ends(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU, AcquisitionNumber=1, ImagesInAcquisition=6)
    DicomSlices(tmp_path / "ct")
    paths[0].unlink()
    with pytest.warns(UserWarning, match=r"5 slices, but its ImagesInAcquisition is 6"):
        DicomSlices(tmp_path / "ct")


def test_padding_brighter_than_tissue_is_air(tmp_path: Path) -> None:
    hu = HU.astype(np.int32)
    hu[:, 0] = 63536 - 1024  # -2000, as a number without a sign
    write_series(tmp_path / "ct", hu, PixelPaddingValue=63536)
    with pytest.warns(UserWarning, match="6 slices have a PixelPaddingValue, 63536"):
        slices = DicomSlices(tmp_path / "ct")
    array = _stacked(slices)
    assert (array[:, 0] == -1024).all()
    np.testing.assert_array_equal(array[:, 1:], HU[:, 1:])


def test_secondary_captures(tmp_path: Path) -> None:
    """Slices of a CT may be such; a page with the dose is no CT."""
    paths = write_series(tmp_path / "ct", HU)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.save_as(path)
    assert search_cts(tmp_path).cts == (tmp_path / "ct",)
    DicomSlices(tmp_path / "ct")
    for path in paths:
        edit(path, ImagePositionPatient=None)
    assert search_cts(tmp_path).cts == ()


def test_a_slice_with_another_scale_is_told(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    edit(paths[2], RescaleIntercept=-1424)
    said = r"Received \(1\.0, -1024\.0\) in 5 of 6, but \(1\.0, -1424\.0\) in 03_2\.dcm"
    with pytest.warns(UserWarning, match=said):
        slices = DicomSlices(tmp_path / "ct")
    np.testing.assert_array_equal(_stacked(slices)[2], HU[2] - 400)


def test_numbers_of_another_kind_are_told(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU, RescaleType="Z_EFF")
    with pytest.warns(UserWarning, match="RescaleType 'Z_EFF' in 00_0"):
        DicomSlices(tmp_path / "ct")


def test_without_pydicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(ImportError, match=r'pip install "tfkd\[dicom\]"'):
        DicomSlices(tmp_path)


def test_a_real_series(shared_data: Path) -> None:
    with pytest.warns(UserWarning, match=r"LICENSE\.txt \(no DICOM\), liver_seg\.dcm \(SEG\)"):
        slices = DicomSlices(shared_data / "dicom_ct3")
    assert slices.shape == (3, 512, 512)
    assert slices.spacing_mm == pytest.approx((1.0, 0.810547, 0.810547))
    array = _stacked(slices)
    assert (array.min(), array[:, 256, 256].min() > -1100) == (-3024, True)
