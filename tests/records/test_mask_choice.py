import dataclasses

import pytest

from tests.records.test_splits import cases
from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles
from tfkd.records.mask_choice import keep_masks
from tfkd.records.splits import SplitPlan, split_patients


def without(cohort: list[CaseFiles], plan: SplitPlan) -> list[str]:
    kept = keep_masks(cohort, split_patients(cohort, plan)["train"], plan)
    assert [case.case_id for case in kept] == [case.case_id for case in cohort]
    return [case.case_id for case in kept if case.mask is None]


def test_masks_of_listed_patients_are_kept_and_those_of_the_others_left_out() -> None:
    plan = SplitPlan(validation=["5"], test=["4"], masks=["2", "ct-3"])
    assert without(cases(6), plan) == ["ct-0", "ct-1"]
    assert without(cases(6), SplitPlan()) == []
    by_patient = SplitPlan(validation=0, test=["4"], masks=[0])
    assert without(cases(6, per_patient=2), by_patient) == ["ct-2", "ct-3"]


@pytest.mark.parametrize("seed", range(3))
def test_a_share_of_masks_is_part_of_a_larger_one(seed: int) -> None:
    cohort = cases(60, per_patient=3)
    quarter, half = (without(cohort, SplitPlan(seed=seed, masks=m)) for m in (0.25, 0.5))
    assert (len(quarter), len(half)) == (27, 18)  # of 12 patients in training
    assert set(half) < set(quarter)
    assert len(without(cases(10), SplitPlan(seed=seed, masks=0.01))) == 5


def test_the_seed_draws_whose_masks_are_kept() -> None:
    plans = [SplitPlan(validation=0, test=["11"], seed=seed, masks=0.25) for seed in range(5)]
    dropped = [without(cases(12), plan) for plan in plans]
    assert {len(names) for names in dropped} == {8}
    assert len({tuple(names) for names in dropped}) > 2
    assert dropped[0] == without(cases(12), plans[0])


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (["4"], "ct-4.*not in the training"),
        (["9"], "9"),
        (["0"], "ct-0 has no mask"),
        ([], "at least one"),
    ],
)
def test_masks_that_cannot_be_kept_are_refused(masks: list[str], message: str) -> None:
    cohort = [dataclasses.replace(cases(1)[0], mask=None), *cases(6)[1:]]
    with pytest.raises(RecordError, match=message):
        without(cohort, SplitPlan(validation=0, test=["4"], masks=masks))
