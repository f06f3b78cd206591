from pathlib import Path

import pytest

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles
from tfkd.records.splits import SPLITS, SplitPlan, check_no_leakage, split_patients


def cases(count: int, per_patient: int = 1) -> list[CaseFiles]:
    return [
        CaseFiles(f"ct-{i}", Path(f"{i}.nii"), Path(f"{i}m.nii"), f"patient {i // per_patient}")
        for i in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_every_case_is_in_one_split_and_patients_stay_together(seed: int) -> None:
    cohort = cases(30, per_patient=3)
    splits = split_patients(cohort, SplitPlan(seed=seed))
    assert sorted(i for ids in splits.values() for i in ids) == sorted(c.case_id for c in cohort)
    check_no_leakage(splits, {case.case_id: case.patient_id for case in cohort})
    assert [len(splits[name]) for name in SPLITS] == [18, 6, 6]


def test_the_seed_decides_and_order_follows_the_source() -> None:
    cohort = cases(20)
    first = split_patients(cohort, SplitPlan(seed=1))
    assert first == split_patients(cohort, SplitPlan(seed=1))
    assert first == split_patients(list(reversed(cohort)), SplitPlan(seed=1)) | first
    assert first != split_patients(cohort, SplitPlan(seed=2))
    assert list(first["train"]) == [c.case_id for c in cohort if c.case_id in first["train"]]


def test_explicit_ids_and_numbers() -> None:
    splits = split_patients(cases(6), SplitPlan(validation=["1", "ct-3"], test=[5]))
    assert splits == {
        "train": ("ct-0", "ct-2", "ct-4"),
        "validation": ("ct-1", "ct-3"),
        "test": ("ct-5",),
    }


def test_an_explicit_train_list_leaves_others_out() -> None:
    splits = split_patients(cases(6), SplitPlan(train=["0"], validation=["1"], test=0))
    assert splits == {"train": ("ct-0",), "validation": ("ct-1",), "test": ()}


def test_a_fraction_is_drawn_from_those_not_listed() -> None:
    splits = split_patients(cases(10), SplitPlan(validation=["0", "1"], test=0.3))
    assert splits["validation"] == ("ct-0", "ct-1")
    assert len(splits["test"]) == 3
    assert not {"ct-0", "ct-1"} & set(splits["test"])


def test_a_small_fraction_still_gets_a_patient() -> None:
    splits = split_patients(cases(3), SplitPlan(validation=0.01, test=0.01))
    assert [len(splits[name]) for name in SPLITS] == [1, 1, 1]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (SplitPlan(validation=["1"], test=["1"]), "patient 1 is in both validation and test"),
        (SplitPlan(train=["0"], test=["0"]), "patient 0 is in both train and test"),
        (SplitPlan(test=["9"]), "'9' does not exist"),
        (SplitPlan(train=["0", "1"], validation=0.2, test=0), "no patient is left"),
    ],
)
def test_impossible_splits_are_refused(plan: SplitPlan, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        split_patients(cases(2), plan)


def test_two_scans_of_a_patient_cannot_be_torn_apart() -> None:
    with pytest.raises(RecordError, match="patient 0 is in both"):
        split_patients(cases(4, per_patient=2), SplitPlan(validation=["ct-0"], test=["ct-1"]))


def test_too_few_patients_say_what_to_do() -> None:
    with pytest.raises(RecordError, match=r"split train.*2 in all.*set a split to 0"):
        split_patients(cases(2))


@pytest.mark.parametrize("plan", [{"validation": 1.0}, {"test": -0.1}, {"test": "0.2"}])
def test_values_out_of_range_are_refused(plan: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected a fraction"):
        SplitPlan(**plan)


def unlabelled(case_id: str, patient_id: str) -> CaseFiles:
    return CaseFiles(case_id, Path("ct.nii"), None, patient_id)


def test_cases_without_mask_are_trained_on_only() -> None:
    cohort = [unlabelled("ct-90", "patient 90"), *cases(5), unlabelled("ct-91", "patient 91")]
    splits = split_patients(cohort)
    assert [len(splits[name]) for name in SPLITS] == [5, 1, 1]  # 20 % of those with masks
    assert {"ct-90", "ct-91"} < set(splits["train"])
    assert splits["test"] == split_patients(cases(5))["test"]
    listed = split_patients(cohort, SplitPlan(train=["0", "90"], validation=["1"], test=0))
    assert listed["train"] == ("ct-90", "ct-0")


def test_an_unlabelled_case_of_a_test_patient_is_left_out() -> None:
    cohort = [*cases(3), unlabelled("ct-9", "patient 2"), unlabelled("ct-10", "patient 0")]
    splits = split_patients(cohort, SplitPlan(validation=["1"], test=["2"]))
    assert splits == {"train": ("ct-0", "ct-10"), "validation": ("ct-1",), "test": ("ct-2",)}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_case_to_judge_by_needs_a_mask(split: str) -> None:
    cohort = [*cases(3), unlabelled("ct-9", "patient 9")]
    with pytest.raises(RecordError, match=f"split {split}: case ct-9 has no mask"):
        split_patients(cohort, SplitPlan(**{"validation": 0, "test": 0, split: ["9"]}))


@pytest.mark.parametrize("plan", [SplitPlan(["0"], 0), SplitPlan(["0"], 0, train=["9"])])
def test_the_training_needs_a_mask(plan: SplitPlan) -> None:
    with pytest.raises(RecordError, match=r"split train: no patient is left.*with a mask"):
        split_patients([*cases(1), unlabelled("ct-9", "patient 9")], plan)


@pytest.mark.parametrize("share", [0, 1.5, -0.1])
def test_a_share_of_masks_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=rf"masks: expected a fraction in \(0, 1\].*{share}"):
        SplitPlan(masks=share)


def test_a_case_that_is_listed_twice_is_refused() -> None:
    listed = cases(4)
    with pytest.raises(RecordError, match=r"split test: case .*2 is listed twice, as 2 and as 02"):
        split_patients(listed, SplitPlan(test=["2", "02"]))


def test_lists_of_the_source_fill_what_the_plan_leaves_open() -> None:
    plan = SplitPlan().with_lists(["ct-1", "ct-2"], [])
    assert (plan.validation, plan.test) == (["ct-1", "ct-2"], 0.2)
    plan = SplitPlan(validation=0.5, test=["2"]).with_lists(["ct-1"], ["ct-3"])
    assert (plan.validation, plan.test) == (0.5, ["2"])
    # whom the plan names elsewhere, by id or number, the list does not take away
    plan = SplitPlan(test=["1"], train=["ct-2"]).with_lists(["ct-1", "ct-2", "ct-3"])
    assert plan.validation == ["ct-3"]
    assert SplitPlan(validation=0).with_lists(["ct-1"]).validation == 0
