"""Means over cases, the empty-mask policy and the round trips of the table."""

import dataclasses
import json

import numpy as np
import pytest

from tfkd.metrics import CaseRow, CaseTable

NAMES = ("background", "liver", "tumour")


def counts_row(case_id: str, label: int, tp: int, fp: int, fn: int) -> CaseRow:
    return CaseRow(case_id, label, tp, fp, fn, voxel_volume_ml=0.002)


def hand_made(empty="exclude") -> CaseTable:
    """Four cases: a good one, a missed tumour, no tumour at all, and a false alarm."""
    liver_tumour = {
        "a": ((80, 20, 20), (6, 4, 0)),  # 0.8, 0.75
        "b": ((60, 40, 40), (0, 0, 10)),  # 0.6, miss
        "c": ((100, 0, 0), (0, 0, 0)),  # 1.0, in neither
        "d": ((40, 60, 60), (0, 5, 0)),  # 0.4, false alarm
    }
    rows = []
    for case_id, (liver, tumour) in liver_tumour.items():
        rows += [
            counts_row(case_id, 0, 1000, 0, 0),
            counts_row(case_id, 1, *liver),
            counts_row(case_id, 2, *tumour),
        ]
    return CaseTable(tuple(rows), NAMES, empty)


def test_means_by_hand():
    table = hand_made()
    np.testing.assert_allclose(table.per_case(1), [0.8, 0.6, 1.0, 0.4])
    assert table.mean_dice(1) == pytest.approx(0.7)
    assert table.sd_dice(1) == pytest.approx(np.std([0.8, 0.6, 1.0, 0.4], ddof=1))
    assert table.global_dice(1) == pytest.approx(560 / (560 + 120 + 120))
    np.testing.assert_allclose(table.per_case(2), [0.75, 0, np.nan, 0])
    assert table.mean_dice(2) == pytest.approx(0.25)
    assert table.global_dice(2) == pytest.approx(12 / (12 + 9 + 10))
    assert table.mean_foreground_dice() == pytest.approx((0.7 + 0.25) / 2)
    assert table.global_foreground_dice() == pytest.approx((0.7 + 12 / 31) / 2)


@pytest.mark.parametrize(
    ("empty", "tumour", "scored"),
    [("exclude", 0.25, 3), ("one", 1.75 / 4, 4), ("zero", 0.75 / 4, 4)],
)
def test_policy_and_the_number_of_cases_it_touched(empty, tumour, scored):
    table = hand_made(empty)
    assert table.mean_dice(2) == pytest.approx(tumour)
    assert table.scored_cases(2) == scored
    assert table.empty_cases(2) == 1
    assert table.missed_cases(2) == 1
    assert table.false_alarms(2) == 1
    # The liver is in every case, so that no policy touches it.
    assert table.mean_dice(1) == pytest.approx(0.7)
    assert (table.empty_cases(1), table.missed_cases(1), table.false_alarms(1)) == (0, 0, 0)


@pytest.mark.parametrize("empty", ["exclude", "one", "zero"])
def test_missing_everything_never_beats_finding_something(empty):
    rng = np.random.default_rng(0)
    found = missed = CaseTable((), NAMES, empty)
    for case in range(6):
        truth = rng.integers(0, 2 + case % 2, (2, 6, 6), dtype=np.uint8)
        truth[0, 0, 0] = 1
        prediction = np.where(rng.random(truth.shape) < 0.7, truth, 0).astype(np.uint8)
        prediction[0, 0, 0] = 1
        found = found.with_case(str(case), truth, prediction, 1.0)
        missed = missed.with_case(str(case), truth, np.zeros_like(truth), 1.0)
    for label in (1, 2):
        assert missed.mean_dice(label) <= found.mean_dice(label)
        assert missed.global_dice(label) <= found.global_dice(label)
    assert missed.mean_dice(1) == 0
    assert missed.mean_foreground_dice() <= found.mean_foreground_dice()


def test_class_in_no_case_is_left_out_of_the_foreground_mean():
    truth = np.array([[[0, 1, 1]]], np.uint8)
    table = CaseTable((), NAMES).with_case("k", truth, truth, 1.0)
    assert np.isnan(table.mean_dice(2))
    assert np.isnan(table.global_dice(2))
    assert table.mean_foreground_dice() == 1
    assert np.isnan(CaseTable((), NAMES).mean_foreground_dice())
    # One false voxel of it costs half of the mean.
    wrong = np.array([[[2, 1, 1]]], np.uint8)
    assert CaseTable((), NAMES).with_case("k", truth, wrong, 1.0).mean_foreground_dice() == 0.5


def test_class_permutation_permutes_the_scores():
    rng = np.random.default_rng(1)
    truth, prediction = rng.integers(0, 3, (2, 2, 5, 5), dtype=np.uint8)
    order = np.array([0, 2, 1], np.uint8)
    table = CaseTable((), NAMES).with_case("k", truth, prediction, 1.0)
    swapped = CaseTable((), NAMES).with_case("k", order[truth], order[prediction], 1.0)
    assert swapped.mean_dice(1) == table.mean_dice(2)
    assert swapped.mean_foreground_dice() == pytest.approx(table.mean_foreground_dice())


def test_order_of_cases_does_not_matter():
    table = hand_made()
    backwards = dataclasses.replace(table, rows=table.rows[::-1])
    assert backwards.case_ids == ("d", "c", "b", "a")
    np.testing.assert_array_equal(backwards.per_case(2), table.per_case(2)[::-1])
    assert backwards.mean_foreground_dice() == pytest.approx(table.mean_foreground_dice())


def test_row_properties():
    row = counts_row("a", 1, 80, 20, 10)
    assert (row.truth_voxels, row.predicted_voxels, row.wrong_voxels) == (90, 100, 30)
    assert row.truth_ml == pytest.approx(0.18)
    assert row.dice == pytest.approx(160 / 190)
    assert counts_row("a", 1, 0, 0, 0).is_empty
    assert np.isnan(counts_row("a", 1, 0, 0, 0).dice)


@pytest.mark.parametrize("empty", ["exclude", "one", "zero"])
def test_round_trips(empty):
    table = hand_made(empty)
    assert CaseTable.from_json(table.to_json()) == table
    assert CaseTable.from_csv(table.to_csv()) == table
    json.loads(table.to_json(), parse_constant=pytest.fail)  # strict JSON: no NaN


def test_round_trip_of_awkward_names():
    row = CaseRow('case "7", left', 0, 1, 2, 3, 1 / 3)
    table = CaseTable((row,), ("fond, noir",))
    assert CaseTable.from_csv(table.to_csv()) == table
    assert CaseTable.from_json(table.to_json()) == table


def test_csv_reads_well():
    lines = hand_made().to_csv().splitlines()
    assert lines[0] == "case_id,label,label_name,tp,fp,fn,voxel_volume_ml,dice,empty"
    assert lines[3] == "a,2,tumour,6,4,0,0.002,0.750000,exclude"
    assert lines[9] == "c,2,tumour,0,0,0,0.002,,exclude"


def test_errors():
    table = hand_made()
    with pytest.raises(ValueError, match=r"Missing, unknown or repeated.*\('a', 0\)"):
        CaseTable(table.rows[1:], NAMES)
    with pytest.raises(ValueError, match=r"repeated.*\('a', 0\)"):
        CaseTable((*table.rows, table.rows[0]), NAMES)
    with pytest.raises(ValueError, match="label=3"):
        table.mean_dice(3)
    with pytest.raises(ValueError, match="empty='drop'"):
        CaseTable(table.rows, NAMES, "drop")
    with pytest.raises(ValueError, match="label_names"):
        CaseTable.from_json("{}")
    with pytest.raises(ValueError, match="'a,b' and 0 rows"):
        CaseTable.from_csv("a,b\n")
