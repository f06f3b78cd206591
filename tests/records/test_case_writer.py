import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

from tfkd.errors import RecordError
from tfkd.failures.working_on import place_of
from tfkd.records import CaseRecord, find_source
from tfkd.records.case_writer import case_record_path, write_case, write_case_apart
from tfkd.records.encoding import decode_example
from tfkd.volumes import (
    IGNORE_LABEL,
    PreprocessSpec,
    SliceExample,
    iter_slices,
    read_volume,
    sha256_of,
)

Save = Callable[[Path, np.ndarray], Path]


def write_first(folder: Path, spec: PreprocessSpec, out: Path) -> CaseRecord:
    out.mkdir(exist_ok=True)
    source = find_source(folder)
    return write_case(source, source.cases[0], spec, out)


def read_records(folder: Path, spec: PreprocessSpec) -> list[SliceExample]:
    dataset = tf.data.TFRecordDataset(str(case_record_path(folder, "volume-3")))
    return [decode_example(record, spec) for record in dataset.as_numpy_iterator()]


def test_records_hold_what_iter_slices_gives(
    two_patients: Path, spec: PreprocessSpec, tmp_path: Path
) -> None:
    record = write_first(two_patients, spec, tmp_path / "out")
    found = read_records(tmp_path / "out", spec)
    image = read_volume(two_patients / "volume-3.nii.gz", case_id="volume-3")
    mask = read_volume(two_patients / "segmentation-3.nii.gz", kind="mask")
    expected = list(iter_slices(image, mask, spec))
    assert len(found) == len(expected) == record.slices == 16
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.image_hu, other.image_hu)
        np.testing.assert_array_equal(one.mask, other.mask)
        assert (one.case_id, one.slice_index) == (other.case_id, other.slice_index)
        assert one.spacing_mm == pytest.approx(other.spacing_mm)
        labels = tuple(np.unique(other.mask[other.mask > 0]))  # type: ignore[index, operator]
        assert record.labels_per_slice[one.slice_index] == labels
    assert record.image == "volume-3.nii.gz"
    assert record.mask_sha256 == sha256_of(two_patients / "segmentation-3.nii.gz")


def test_a_finished_case_is_kept_until_anything_changes(
    two_patients: Path, spec: PreprocessSpec, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = write_first(two_patients, spec, out)
    path = case_record_path(out, "volume-3")
    path.write_bytes(b"untouched")
    assert write_first(two_patients, spec, out) == first
    assert path.read_bytes() == b"untouched"

    write_first(two_patients, PreprocessSpec(size=(16, 16)), out)
    assert path.read_bytes() != b"untouched"

    path.write_bytes(b"untouched")
    os.utime(two_patients / "segmentation-3.nii.gz", (0, 0))
    write_first(two_patients, PreprocessSpec(size=(16, 16)), out)
    assert path.read_bytes() != b"untouched"


def test_an_unknown_label_names_case_file_and_value(
    two_patients: Path, spec: PreprocessSpec, tmp_path: Path, patient: Callable, save_nifti: Save
) -> None:
    mask = patient(3)[1]
    mask[0, 0, 0] = 7
    save_nifti(two_patients / "segmentation-3.nii.gz", mask)
    message = r"case volume-3: .*segmentation-3\.nii\.gz holds .*\[7\]\. Expected only 0 background"
    with pytest.raises(RecordError, match=message):
        write_first(two_patients, spec, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_an_identity_affine_follows_the_source_with_a_warning(
    two_patients: Path, spec: PreprocessSpec, tmp_path: Path, patient: Callable
) -> None:
    plain = write_first(two_patients, spec, tmp_path / "plain")
    for kind, array_lps in zip(("volume", "segmentation"), patient(3), strict=True):
        # LiTS17's rule is LAS: the second axis runs the other way than in our LPS arrays.
        image = nib.Nifti1Image(array_lps[:, ::-1], np.eye(4))
        nib.save(image, two_patients / f"{kind}-3.nii.gz")
    with pytest.warns(UserWarning, match="volume-3"):
        assumed = write_first(two_patients, spec, tmp_path / "assumed")
    assert assumed.presence_runs == plain.presence_runs
    one, other = (read_records(tmp_path / name, spec) for name in ("plain", "assumed"))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.image_hu, b.image_hu)
        np.testing.assert_array_equal(a.mask, b.mask)


def test_an_ignored_label_is_no_class(
    two_patients: Path, patient: Callable[[int], tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    source = dataclasses.replace(
        find_source(two_patients), label_names=("background", "liver"), ignored_label=2
    )
    spec = PreprocessSpec(size=(48, 48))
    record = write_case(source, source.cases[0], spec, tmp_path)
    mask = patient(3)[1]
    assert record.ignored
    assert record.voxels_per_label == ((mask == 0).sum(), (mask == 1).sum())
    assert record.ignored_voxels == (mask == 2).sum()
    assert record.presence_runs == ((4, ()), (9, (1,)), (3, ()))
    stored = np.stack([example.mask for example in read_records(tmp_path, spec)])
    assert np.array_equal(np.unique(stored), [0, 1, IGNORE_LABEL])
    assert (stored == IGNORE_LABEL).sum() == (mask == 2).sum()


def test_an_unexpected_error_keeps_its_case_and_file(
    two_patients: Path, spec: PreprocessSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("tfkd.records.case_writer.iter_slices", fail)
    with pytest.raises(KeyError) as raised:
        write_first(two_patients, spec, tmp_path)
    image = str(two_patients / "volume-3.nii.gz")
    assert place_of(raised.value) == {"case_id": "volume-3", "path": image}


def test_warnings_of_another_process_come_back(
    two_patients: Path, spec: PreprocessSpec, tmp_path: Path
) -> None:
    path = two_patients / "volume-3.nii.gz"
    for file in (path, two_patients / "segmentation-3.nii.gz"):
        nib.save(nib.Nifti1Image(np.asarray(nib.load(file).dataobj), np.eye(4)), file)
    source = find_source(two_patients)
    record, said = write_case_apart(source, source.cases[0], spec, tmp_path)
    assert record.case_id == "volume-3"
    assert said
    assert all("identity" in text for text in said)
