"""CT without masks, from the folder to the batches."""

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.records import (
    Manifest,
    Sampling,
    SplitPlan,
    add_unlabelled,
    decode_case_ids,
    find_source,
    load,
    prepare,
)
from tfkd.volumes import IGNORE_LABEL, PreprocessSpec, sha256_of

SPLIT = SplitPlan(validation=["1"], test=0)


def test_a_folder_of_ct_is_added_under_the_names_of_its_files(cohort: Path, tmp_path: Path) -> None:
    for name in ("abd_10_0000.nii.gz", "abd_2_0000.nii.gz", "ct.nii", "._ct.nii", "readme.txt"):
        (tmp_path / name).touch()
    source = find_source(cohort)
    added = add_unlabelled(source, tmp_path).cases[len(source.cases) :]
    assert [(case.case_id, case.patient_id) for case in added] == [
        ("abd_2", "abd_2"),
        ("abd_10", "abd_10"),
        ("ct", "ct"),
    ]
    assert {case.mask for case in added} == {None}


def test_folders_without_ct_and_known_names_are_refused(cohort: Path, tmp_path: Path) -> None:
    source = find_source(cohort)
    with pytest.raises(RecordError, match="no NIfTI file in it"):
        add_unlabelled(source, tmp_path)
    with pytest.raises(RecordError, match="no such folder"):
        add_unlabelled(source, tmp_path / "nowhere")
    (tmp_path / "volume-2.nii.gz").touch()
    with pytest.raises(RecordError, match="case volume-2: expected one CT file per case, found 2"):
        add_unlabelled(source, tmp_path)


def test_the_default_takes_a_missing_mask_for_a_mistake(mixed_cohort: Path) -> None:
    with pytest.raises(RecordError, match=r"volume-20: the mask is missing.*--missing-masks keep"):
        find_source(mixed_cohort)
    with pytest.raises(RecordError, match="missing_masks: expected one of refuse, keep"):
        find_source(mixed_cohort, missing_masks="hide")  # type: ignore[arg-type]


def test_records_know_what_has_no_label(mixed_records: Path) -> None:
    manifest = Manifest.load(mixed_records)
    assert manifest.splits["train"] == ("volume-0", "volume-1", "volume-20", "volume-21")
    case = manifest.case("20")
    assert (case.mask, case.mask_sha256, case.ignored) == (None, None, True)
    assert case.presence_runs == ((16, (IGNORE_LABEL,)),)
    partly = manifest.case("1")
    assert partly.presence_runs[:2] == ((1, (IGNORE_LABEL,)), (3, ()))
    assert partly.ignored
    assert not manifest.case("0").ignored
    assert manifest.unlabelled_slices_of("train") == 33
    assert manifest.unlabelled_slices_of("test") == 0
    assert manifest.slices_per_label("train") == {"liver": 18, "tumour": 4}
    assert [case.case_id for case in manifest.case_files("train")] == ["volume-0", "volume-1"]
    assert manifest.folds(2) == (("volume-0",), ("volume-1",))


def test_slices_without_mask_are_stored_as_such(mixed_records: Path, spec: PreprocessSpec) -> None:
    stored = {(e.case_id, e.slice_index): e.mask for e in load(mixed_records).examples("train")}
    np.testing.assert_array_equal(stored["volume-20", 7], np.full(spec.size, IGNORE_LABEL))
    assert set(np.unique(stored["volume-1", 4])) == {0, 1, IGNORE_LABEL}


def test_records_of_before_can_be_read(mixed_records: Path, tmp_path: Path) -> None:
    path = shutil.copy(mixed_records / "manifest.json", tmp_path)
    facts = json.loads(Path(path).read_text())
    for case in facts["cases"]:
        del case["ignored"]
    Path(path).write_text(json.dumps(facts))
    assert not any(case.ignored for case in Manifest.load(tmp_path).cases)


def drawn(records: Path, share: float) -> list[tuple[str, bool]]:
    """(case, whether no pixel has a label) of the slices of four epochs."""
    data = load(records, batch_size=8, steps_per_epoch=8, sampling=Sampling(unlabelled_share=share))
    found = []
    for _, targets in itertools.islice(data.stream().as_numpy_iterator(), 32):
        empty = (targets["mask"] == IGNORE_LABEL).all(axis=(1, 2)).tolist()
        found += list(zip(decode_case_ids(targets["case_id"]), empty, strict=True))
    return found


def test_batches_hold_them_only_if_told_so(mixed_records: Path) -> None:
    assert not any(empty for _, empty in drawn(mixed_records, 0.0))
    assert {case_id for case_id, _ in drawn(mixed_records, 0.0)} == {"volume-0", "volume-1"}
    mixed = drawn(mixed_records, 0.5)
    assert np.mean([empty for _, empty in mixed]) == pytest.approx(0.5, abs=0.05)
    assert {"volume-20", "volume-21"} < {case_id for case_id, _ in mixed}
    assert drawn(mixed_records, 0.5) == mixed


def test_what_is_not_drawn_does_not_count(mixed_records: Path) -> None:
    alone = load(mixed_records, batch_size=4)
    assert alone.steps_per_epoch == 31 // 4
    assert alone.trained_on == ("volume-0", "volume-1")
    both = load(mixed_records, batch_size=4, sampling=Sampling(unlabelled_share=0.5))
    assert both.steps_per_epoch == 31 // 4  # a student that sees them is trained for as long
    assert both.trained_on == ("volume-0", "volume-1", "volume-20", "volume-21")
    assert alone.calibration(100).shape[0] == 31
    with pytest.raises(RecordError, match="leave_out: expected some, not all"):
        load(mixed_records, leave_out=["volume-0", "volume-1"])


def test_the_plain_dataset_and_the_default_draw_labelled_slices(mixed_records: Path) -> None:
    for _, mask in load(mixed_records, batch_size=4).train:
        assert (mask.numpy() != IGNORE_LABEL).any(axis=(1, 2)).all()


def test_the_ct_of_a_test_case_is_found_under_another_name(
    two_patients: Path, spec: PreprocessSpec, tmp_path: Path
) -> None:
    other = tmp_path / "more"
    other.mkdir()
    shutil.copy(two_patients / "volume-4.nii.gz", other / "ct.nii.gz")
    source = add_unlabelled(find_source(two_patients), other)
    with pytest.raises(RecordError, match=r"case ct without mask: .*is the CT of volume-4"):
        prepare(source, tmp_path / "out", spec, split=SplitPlan(validation=["4"], test=0))
    with pytest.warns(UserWarning, match=r"the very same CT: volume-4 \(train\); ct \(train\)"):
        manifest = prepare(
            source, tmp_path / "both", spec, split=SplitPlan(validation=["3"], test=0)
        )
    assert manifest.case("ct").image == "../more/ct.nii.gz"


def test_a_mask_that_appears_is_taken(
    two_patients: Path,
    spec: PreprocessSpec,
    tmp_path: Path,
    patient: Callable[[int], tuple[np.ndarray, np.ndarray]],
    save_nifti: Callable[[Path, np.ndarray], Path],
) -> None:
    """What an interrupted run has written of a case without mask is not kept for one with it."""
    mask = two_patients / "segmentation-4.nii.gz"
    before = sha256_of(mask)
    mask.unlink()

    def stop(done: int, total: int, text: str) -> None:
        if done == total:
            raise KeyboardInterrupt

    split = SplitPlan(validation=0, test=0)
    kept = find_source(two_patients, missing_masks="keep")
    with pytest.raises(KeyboardInterrupt):
        prepare(kept, tmp_path / "out", spec, split=split, progress=stop)
    save_nifti(mask, patient(4)[1])
    manifest = prepare(two_patients, tmp_path / "out", spec, split=split)
    assert manifest.case("4").mask_sha256 == before
    assert manifest.case("4").slices_with(2) == 2


def test_masks_and_other_files_beside_the_ct_are_left_out(cohort: Path, tmp_path: Path) -> None:
    for name in ("volume-30.nii.gz", "CT.NII", "segmentation-30.nii.gz", "ct_mask.nii", "a/b.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    source = dataclasses.replace(find_source(cohort), left_out={str(tmp_path / "CT.NII"): "odd"})
    added = add_unlabelled(source, tmp_path)
    assert [case.case_id for case in added.cases[-2:]] == ["CT", "volume-30"]
    assert {Path(name).name: reason for name, reason in added.left_out.items()} == {
        "segmentation-30.nii.gz": "a mask",
        "ct_mask.nii": "a mask",
        "b.nii": "not a NIfTI file of the unlabelled CT",
    }
    for name in ("volume-30.nii.gz", "CT.NII"):
        (tmp_path / name).unlink()
    with pytest.raises(RecordError, match="nothing but masks"):
        add_unlabelled(source, tmp_path)


def test_a_scan_without_mask_of_a_held_out_patient_is_told(cohort: Path, tmp_path: Path) -> None:
    source = find_source(cohort)
    second = dataclasses.replace(source.cases[1], case_id="again", mask=None)
    source = dataclasses.replace(source, cases=(*source.cases, second))
    with pytest.warns(UserWarning, match=r"1 file is left out: 1 without mask, of a held-out pat"):
        manifest = prepare(source, tmp_path / "out", PreprocessSpec(size=(8, 8)), split=SPLIT)
    assert manifest.left_out == {"again": "without mask, of a held-out patient"}
