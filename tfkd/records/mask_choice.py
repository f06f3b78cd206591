"""Which masks of the training are used, and which left out."""

import dataclasses
import random
from collections.abc import Sequence

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, select_cases
from tfkd.records.splits import SplitPlan

__all__ = ["keep_masks"]


def keep_masks(
    cases: Sequence[CaseFiles], train: Sequence[str], plan: SplitPlan
) -> tuple[CaseFiles, ...]:
    """Leaves masks out that the plan does not want for the training.

    Args:
        cases: The cases of the source.
        train: Case ids of the training.
        plan: Whose masks are used, see `SplitPlan`.

    Returns:
        The same cases in the same order; some of the training have no mask any more.

    Raises:
        RecordError: If a listed case is not in the training or has no mask, or if none is listed.
    """
    masked = {c.case_id: c.patient_id for c in cases if c.case_id in train and c.mask is not None}
    if isinstance(plan.masks, int | float):
        patients = sorted(set(masked.values()))
        random.Random(plan.seed).shuffle(patients)
        kept = set(patients[: max(1, round(plan.masks * len(patients)))])
    else:
        kept = _listed_patients(plan.masks, cases, train, masked)
    dropped = {case_id for case_id, patient in masked.items() if patient not in kept}
    return tuple(
        dataclasses.replace(case, mask=None) if case.case_id in dropped else case for case in cases
    )


def _listed_patients(
    listed: Sequence[str | int],
    cases: Sequence[CaseFiles],
    train: Sequence[str],
    masked: dict[str, str],
) -> set[str]:
    """Patients of the cases whose masks are wanted; `masked` are the training's cases with one."""
    ids = select_cases(listed, tuple(case.case_id for case in cases), "masks")
    if not ids:
        raise RecordError("masks: expected at least one training case, received none.")
    for case_id in ids:
        if case_id not in masked:
            why = "has no mask" if case_id in train else "is not in the training"
            raise RecordError(
                f"masks: case {case_id} {why}. Expected training cases with masks; leave it out."
            )
    return {masked[case_id] for case_id in ids}
