"""Whole volumes through a callable: counts, files, errors, times."""

import dataclasses
import json
import time

import nibabel as nib
import numpy as np
import pytest

from tfkd.errors import GeometryError, RecordError
from tfkd.evaluation import CasePaths, Evaluation, ModelInfo, evaluate, read_case, time_per_slice_ms
from tfkd.metrics import CaseTable, confusion_counts
from tfkd.report import format_table
from tfkd.volumes import (
    REFERENCE,
    WHOLE_VOLUME,
    canonical_affine,
    read_volume,
    sha256_of,
    write_volume,
)

NAMES = ("background", "liver", "tumour")
MODEL = ModelInfo("student")


def test_counts_equal_those_of_the_arrays(cases, cut_top):
    evaluation = evaluate(cut_top(2), cases, MODEL, NAMES)
    expected = CaseTable((), NAMES)
    for case in cases:
        image = read_volume(case.image, case_id=case.case_id)
        truth = read_volume(case.mask, kind="mask", case_id=case.case_id)
        prediction = cut_top(2)(image)
        expected = expected.with_case(case.case_id, truth.array, prediction.array, 0.01)
    np.testing.assert_array_equal(
        [(row.tp, row.fp, row.fn) for row in evaluation.table.rows],
        [(row.tp, row.fp, row.fn) for row in expected.rows],
    )
    assert evaluation.table.rows[0].voxel_volume_ml == pytest.approx(5 * 2 * 1 / 1000)
    assert evaluation.table.empty_cases(2) == 1  # case 2 has no tumour
    assert evaluation.seconds_per_volume > 0
    assert evaluation.masks_dir is None
    assert {"machine", "python", "date"} <= set(evaluation.environment)


def test_perfect_model_scores_one(cases, cut_top):
    table = evaluate(cut_top(0), cases, MODEL, NAMES).table
    assert table.mean_foreground_dice() == table.global_foreground_dice() == 1


def test_reports_progress_and_keeps_masks(cases, cut_top, tmp_path):
    seen = []
    evaluation = evaluate(
        cut_top(1),
        cases,
        MODEL,
        NAMES,
        masks_dir=tmp_path,
        progress=lambda *step: seen.append(step),
    )
    assert seen == [(0, 3, "case-0"), (1, 3, "case-1"), (2, 3, "case-2"), (3, 3, "")]
    mask = read_volume(evaluation.mask_path("case-1"), kind="mask")
    image = read_volume(cases[1].image)
    np.testing.assert_array_equal(
        mask.array, cut_top(1)(read_volume(cases[1].image, case_id="case-1")).array
    )
    np.testing.assert_allclose(mask.affine, image.affine)
    assert evaluation.mask_path("case-9") is None


def test_masks_have_the_layout_of_the_ct_file(tmp_path):
    rng = np.random.default_rng(0)
    affine = np.array([[0, 0, 2.0, 0], [-1.5, 0, 0, 0], [0, 3.0, 0, 0], [0, 0, 0, 1]])
    labels = rng.integers(0, 2, (4, 5, 6)).astype(np.uint8)
    nib.save(nib.Nifti1Image(labels.astype(np.int16), affine), tmp_path / "ct.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "mask.nii.gz")
    case = CasePaths("k", tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz")
    evaluation = evaluate(
        lambda volume: volume.with_array(volume.array.astype(np.uint8)),
        [case],
        MODEL,
        ("background", "liver"),
        masks_dir=tmp_path / "masks",
    )
    assert evaluation.table.mean_dice(1) == 1
    kept = nib.load(evaluation.mask_path("k"))
    np.testing.assert_array_equal(np.asarray(kept.dataobj), labels)
    np.testing.assert_allclose(kept.affine, affine)


def test_errors_name_case_and_file(cases, cut_top, tmp_path):
    with pytest.raises(RecordError, match="Received none"):
        evaluate(cut_top(0), [], MODEL, NAMES)
    with pytest.raises(RecordError, match="more than once: case-0"):
        evaluate(cut_top(0), [cases[0], cases[0]], MODEL, NAMES)
    with pytest.raises(RecordError, match=r"case-0.*mask-0.*label 2"):
        evaluate(cut_top(0), cases, MODEL, NAMES[:2])
    with pytest.raises(RecordError, match=r"case-0.*true mask"):
        evaluate(cut_top(0), [CasePaths("case-0", cases[0].image, None)], MODEL, NAMES)
    with pytest.raises(GeometryError, match="nowhere"):
        evaluate(
            cut_top(0), [CasePaths("k", tmp_path / "nowhere.nii", cases[0].mask)], MODEL, NAMES
        )


def test_refuses_a_mask_that_does_not_fit(cases):
    def too_many_labels(volume):
        return volume.with_array(np.full(volume.shape, 7, np.uint8))

    def too_small(volume):
        half = volume.array[:3].astype(np.uint8)
        return type(volume)(half, canonical_affine(volume.spacing_mm), volume.case_id)

    for predictor in (too_many_labels, too_small):
        with pytest.raises(GeometryError, match=r"case-0, model 'student'.*\(6, 20, 40\)"):
            evaluate(predictor, cases, MODEL, NAMES)


def test_round_trip_of_an_evaluation(evaluations, tmp_path):
    for evaluation in evaluations:
        path = tmp_path / "runs" / f"{evaluation.role}.json"
        evaluation.save(path)
        again = Evaluation.load(path)
        assert again.model == evaluation.model
        assert again.table == evaluation.table
        assert again.seconds_per_volume == evaluation.seconds_per_volume
        assert again.environment == evaluation.environment
        assert again.mask_path("case-0").samefile(evaluation.mask_path("case-0"))
        assert list(path.parent.glob(".*")) == []


def test_masks_are_found_after_a_move(cases, cut_top, tmp_path):
    run = tmp_path / "run"
    evaluate(cut_top(0), cases[:1], MODEL, NAMES, masks_dir=run / "masks").save(run / "e.json")
    moved = run.rename(tmp_path / "elsewhere")
    assert Evaluation.load(moved / "e.json").mask_path("case-0").parent.name == "masks"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": 9}', '{"schema_version": 1}'])
def test_damaged_evaluation_names_the_file(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"broken\.json"):
        Evaluation.load(path)
    with pytest.raises(RecordError, match=r"missing\.json"):
        Evaluation.load(tmp_path / "missing.json")


def test_evaluations_from_before_the_sha256_was_kept(evaluations, tmp_path):
    evaluations[0].save(tmp_path / "e.json")
    document = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    del document["model"]["sha256"]
    (tmp_path / "e.json").write_text(json.dumps(document), encoding="utf-8")
    assert Evaluation.load(tmp_path / "e.json").model.sha256 is None


def test_model_info(tmp_path):
    path = tmp_path / "student.tflite"
    path.write_bytes(b"12345")
    info = ModelInfo.of_file(path, "student", "int8", parameters=7)
    assert (info.file, info.file_bytes, info.parameters) == ("student.tflite", 5, 7)
    assert info.sha256 == sha256_of(path)
    with pytest.raises(ValueError, match="role='boss'"):
        ModelInfo("x", "boss")
    with pytest.raises(ValueError, match="name"):
        ModelInfo("")


def test_time_per_slice():
    batches = []

    def logits_fn(batch):
        batches.append((batch.shape, batch.dtype))
        time.sleep(0.003)
        return batch

    milliseconds = time_per_slice_ms(logits_fn, (4, 5, 1), repeats=5, warmup=2)
    assert 3 <= milliseconds < 300
    assert batches == [((1, 4, 5, 1), np.float32)] * 7
    with pytest.raises(ValueError, match="repeats=0"):
        time_per_slice_ms(logits_fn, (4, 5, 1), repeats=0)


def test_the_reference_counts_slices_of_one_target_only(cases, cut_top):
    """Liver and tumour are one target; what is found above and below them does not count."""
    whole = [dataclasses.replace(case, target_labels=(1, 2)) for case in cases]

    def predict(volume):
        labels = (cut_top(2)(volume).array > 0).astype(np.uint8)
        labels[0] = labels[-1] = 1
        return volume.with_array(labels)

    table = evaluate(predict, whole, MODEL, NAMES[:2], protocol=REFERENCE).table
    for case, row in zip(whole, table.of_label(1), strict=True):
        truth = read_case(case)[1].array
        assert set(np.unique(truth)) == {0, 1}
        predicted = predict(read_case(case)[0]).array
        positive = truth.any(axis=(1, 2))
        assert positive.sum() == 4
        expected = confusion_counts(truth[positive], predicted[positive], 2)[1]
        assert (row.tp, row.fp, row.fn) == tuple(expected)
    other = evaluate(predict, whole, MODEL, NAMES[:2]).table
    assert other.mean_dice(1) < table.mean_dice(1)


def test_a_case_without_the_target_is_left_out(cases, cut_top):
    tumour = [dataclasses.replace(case, target_labels=(2,)) for case in cases]

    def predict(volume):
        return volume.with_array(np.ones(volume.shape, np.uint8))

    table = evaluate(predict, tumour, MODEL, NAMES[:2], protocol=REFERENCE).table
    assert (table.empty_cases(1), table.scored_cases(1)) == (1, 2)


def test_voxels_without_label_do_not_count(cases, cut_top, tmp_path):
    image, truth = read_case(cases[0])
    labels = truth.array.copy()
    labels[:, :, 20:] = 255
    case = CasePaths("case-0", cases[0].image, tmp_path / "mask.nii.gz")
    write_volume(truth.with_array(labels), case.mask)
    row = evaluate(cut_top(2), [case], MODEL, NAMES).table.of_label(1)[0]
    predicted = cut_top(2)(image).array[:, :, :20]
    assert (row.tp, row.fp, row.fn) == tuple(
        confusion_counts(truth.array[:, :, :20], predicted, 3)[1]
    )


def test_the_protocol_is_kept_and_said(cases, cut_top, tmp_path):
    rows = [
        evaluate(cut_top(k), cases, ModelInfo(f"model {k}"), NAMES, protocol=protocol)
        for k, protocol in enumerate((REFERENCE, WHOLE_VOLUME))
    ]
    rows[0].save(tmp_path / "a.json")
    assert Evaluation.load(tmp_path / "a.json").protocol == "reference"
    document = json.loads((tmp_path / "a.json").read_text())
    del document["protocol"]
    (tmp_path / "b.json").write_text(json.dumps(document))
    assert Evaluation.load(tmp_path / "b.json").protocol == "whole_volume"
    assert "Protocol: reference; only slices" in format_table(rows[:1])
    assert "Protocol: whole_volume; every slice" in format_table(rows[1:])
    with pytest.raises(RecordError, match="another protocol: whole_volume, not reference"):
        format_table(rows)
    with pytest.raises(ValueError, match="Expected a protocol"):
        dataclasses.replace(rows[0], protocol="other")


def test_a_0_255_truth_is_told_and_an_ignored_label_scored_by_nobody(cases, tmp_path):
    path = tmp_path / "truth.nii.gz"
    truth = read_volume(cases[0].mask, kind="mask")
    write_volume(truth.with_array(np.where(truth.array > 0, 255, 0).astype(np.uint8)), path)
    told = dataclasses.replace(cases[0], mask=path)

    def empty(image):
        return image.with_array(np.zeros(image.shape, np.uint8))

    with pytest.warns(UserWarning, match=r"case-0, .*truth.*holds 255 and never liver or tumour"):
        evaluate(empty, [told], MODEL, NAMES)
    ignored = dataclasses.replace(cases[0], ignored_label=2)
    array = read_case(ignored)[1].array
    np.testing.assert_array_equal(array, np.where(truth.array == 2, 255, truth.array))
    assert 255 in array
