import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import GeometryError, RecordError
from tfkd.records import Manifest, SplitPlan, find_source, prepare
from tfkd.volumes import PreprocessSpec, sha256_of

Save = Callable[[Path, np.ndarray], Path]
Patient = Callable[[int], tuple[np.ndarray, np.ndarray]]
HALVES = SplitPlan(validation=["4"], test=0)


def content(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def test_it_returns_the_manifest_and_is_silent(
    cohort: Path, records: Path, spec: PreprocessSpec, split: SplitPlan, tmp_path: Path, capfd
) -> None:  # type: ignore[no-untyped-def]
    seen: list[tuple[int, int, str]] = []
    manifest = prepare(
        find_source(cohort), tmp_path / "out", spec, split=split, progress=lambda *a: seen.append(a)
    )
    assert manifest == Manifest.load(tmp_path / "out")
    assert [done for done, _, _ in seen] == [1, 2, 3, 4]
    assert {total for _, total, _ in seen} == {4}
    assert seen[-1][2] == "volume-10"
    assert content(tmp_path / "out") == content(records)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert capfd.readouterr().out == ""


def test_an_interrupted_run_is_continued_to_the_same_bytes(
    cohort: Path, records: Path, spec: PreprocessSpec, split: SplitPlan, tmp_path: Path
) -> None:
    def stop(done: int, total: int, text: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepare(cohort, out, spec, split=split, progress=stop)
    assert not out.exists()
    kept = tmp_path / "out.partial" / "cases" / "volume-0.tfrecord"
    before = kept.stat().st_mtime_ns
    checked: list[int] = []
    # A killed process also leaves half-written files behind; they are ignored or replaced.
    (kept.parent / "volume-2.tfrecord").write_bytes(b"half")
    prepare(
        cohort,
        out,
        spec,
        split=split,
        progress=lambda done, total, text: checked.append(kept.stat().st_mtime_ns),
    )
    assert set(checked) == {before}
    assert content(out) == content(records)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_processes_give_the_same_bytes(
    cohort: Path, records: Path, spec: PreprocessSpec, split: SplitPlan, tmp_path: Path
) -> None:
    seen: list[int] = []
    prepare(
        cohort,
        tmp_path / "out",
        spec,
        split=split,
        workers=2,
        progress=lambda done, total, text: seen.append(done),
    )
    assert seen == [1, 2, 3, 4]
    assert content(tmp_path / "out") == content(records)


def test_patients_of_no_split_are_not_prepared(cohort: Path, tmp_path: Path) -> None:
    plan = SplitPlan(train=["1"], validation=["10"], test=0)
    manifest = prepare(cohort, tmp_path / "out", PreprocessSpec(size=(8, 8)), split=plan)
    assert [case.case_id for case in manifest.cases] == ["volume-1", "volume-10"]


def test_the_default_spec_has_the_window_of_the_source(two_patients: Path, tmp_path: Path) -> None:
    manifest = prepare(two_patients, tmp_path / "out", split=HALVES)
    assert manifest.spec == PreprocessSpec(window_hu=(-60.0, 140.0))


def test_an_output_folder_that_is_not_empty_is_left_alone(
    two_patients: Path, spec: PreprocessSpec, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    prepare(two_patients, out, spec, split=HALVES)
    before = content(out)
    with pytest.raises(RecordError, match=r"out: expected a new or empty.*holds finished records"):
        prepare(two_patients, out, spec, split=HALVES)
    assert content(out) == before
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="not empty"):
        prepare(two_patients, tmp_path / "file", spec, split=HALVES)
    foreign = tmp_path / "new.partial"
    foreign.mkdir()
    (foreign / "thesis.doc").touch()
    with pytest.raises(RecordError, match=r"found thesis\.doc in it"):
        prepare(two_patients, tmp_path / "new", spec, split=HALVES)
    assert (foreign / "thesis.doc").exists()


def damage(name: str, folder: Path, patient: Patient, save: Save) -> str:
    """Damages patient 4 and returns what the error must say."""
    image, mask = patient(4)
    image_path, mask_path = folder / "volume-4.nii.gz", folder / "segmentation-4.nii.gz"
    match name:
        case "shape":
            save(mask_path, mask[:, :, :-1])
        case "truncated":
            image_path.write_bytes(image_path.read_bytes()[:5000])
        case "nan":
            values = image.astype(np.float32)
            values[3, 3, 3] = np.nan
            save(image_path, values)
        case "4-d":
            save(image_path, np.stack([image, image], -1))
        case "label":
            mask[0, 0, 0] = 9
            save(mask_path, mask)
        case "not nifti":
            mask_path.write_bytes(b"hello")
    touched = image_path if name in ("truncated", "nan", "4-d") else mask_path
    return touched.name.replace(".", r"\.")


@pytest.mark.parametrize("name", ["shape", "truncated", "nan", "4-d", "label", "not nifti"])
def test_bad_volumes_name_case_and_file_and_leave_no_output(
    name: str,
    two_patients: Path,
    patient: Patient,
    save_nifti: Save,
    spec: PreprocessSpec,
    tmp_path: Path,
) -> None:
    file = damage(name, two_patients, patient, save_nifti)
    out = tmp_path / "out"
    with pytest.raises((GeometryError, RecordError), match=rf"volume-4(.|\n)*{file}"):
        prepare(two_patients, out, spec, split=HALVES)
    assert not out.exists()
    # the good case is kept for the next try ...
    assert (tmp_path / "out.partial" / "cases" / "volume-3.tfrecord").exists()
    assert not (tmp_path / "out.partial" / "cases" / "volume-4.json").exists()
    # ... which succeeds once the file is mended
    image, mask = patient(4)
    save_nifti(two_patients / "volume-4.nii.gz", image)
    save_nifti(two_patients / "segmentation-4.nii.gz", mask)
    assert prepare(two_patients, out, spec, split=HALVES).slices_of("validation") == 16
    assert not (tmp_path / "out.partial").exists()


def test_a_failure_in_the_first_case_leaves_nothing_at_all(
    two_patients: Path, patient: Patient, save_nifti: Save, spec: PreprocessSpec, tmp_path: Path
) -> None:
    damage("nan", two_patients, patient, save_nifti)
    shutil.copy(two_patients / "volume-4.nii.gz", two_patients / "volume-3.nii.gz")
    with pytest.raises(GeometryError, match="volume-3"):
        prepare(two_patients, tmp_path / "out", spec, split=HALVES)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_missing_masks_bad_splits_and_arguments_leave_nothing(
    two_patients: Path, spec: PreprocessSpec, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(RecordError, match="set a split to 0"):
        prepare(two_patients, out, spec)
    with pytest.raises(ValueError, match="expected positive numbers"):
        prepare(two_patients, out, spec, split=HALVES, workers=0)
    (two_patients / "segmentation-4.nii.gz").unlink()
    with pytest.raises(RecordError, match="case volume-4: the mask is missing"):
        prepare(two_patients, out, spec, split=HALVES)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
