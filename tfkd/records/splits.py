"""Splits by patient: no patient is ever in two of them."""

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, select_case, select_cases

__all__ = ["SPLITS", "SplitPlan", "check_no_leakage", "split_patients"]

SPLITS = ("train", "validation", "test")
_DEFAULT_FRACTION = 0.2


@dataclass(frozen=True)
class SplitPlan:
    """Which patients go where.

    Args:
        validation: Fraction of all patients in [0, 1), drawn with the seed; or the case ids; or
            None for those that the source itself lists (`Source.validation_cases`), and a fraction
            of 0.2 where it lists none.
        test: The same for the test split. Fractions are drawn from patients not listed elsewhere.
        train: The training case ids, or None for everyone who is left. Patients who are in no
            split are not prepared.
        seed: Seed of the draw.
        masks: Fraction in (0, 1] of the training patients with masks whose masks are used, at least
            one, drawn with the seed; or the case ids of these patients. The CT of the others are
            unlabelled, and distillation alone learns from them. Of one seed, a smaller fraction is
            part of a larger one, and the splits are the same.

    Ids are full case ids or their numbers (``"volume-7"`` or ``"7"``). 0 or an empty list leaves
    a split empty on purpose.

    A case without mask can only be trained on. Fractions are of the patients with masks; patients
    without any join the training, and an unlabelled case of a validation or test patient is left
    out.

    Raises:
        ValueError: If a fraction is out of range.
    """

    validation: float | Sequence[str | int] | None = None
    test: float | Sequence[str | int] | None = None
    train: Sequence[str | int] | None = None
    seed: int = 0
    masks: float | Sequence[str | int] = 1.0

    def with_lists(self, validation: Sequence[str] = (), test: Sequence[str] = ()) -> "SplitPlan":
        """The plan with a source's own lists, or else fractions, where this one says nothing.

        A case that this plan puts elsewhere by name is not taken from a source's list.

        Args:
            validation: Case ids that the source wants for the validation.
            test: The same for the test.
        """
        lists = {"validation": validation, "test": test}
        named = {
            str(one).strip()
            for name in SPLITS
            if not isinstance(given := getattr(self, name), int | float | None)
            for one in given
        }
        filled: dict[str, Any] = {}
        for name, listed in lists.items():
            if getattr(self, name) is None:
                free = [case_id for case_id in listed if not _is_named(case_id, named)]
                filled[name] = free or _DEFAULT_FRACTION
        return dataclasses.replace(self, **filled)

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise ValueError(
                    f"split {name}: expected a fraction or a list of ids, received {value!r}."
                )
            if isinstance(value, int | float) and not 0 <= value < 1:
                raise ValueError(
                    f"split {name}: expected a fraction in [0, 1) or a list of case ids, "
                    f"received {value}."
                )
        if isinstance(self.masks, str) or (
            isinstance(self.masks, int | float) and not 0 < self.masks <= 1
        ):
            raise ValueError(
                "masks: expected a fraction in (0, 1] or a list of case ids, received "
                f"{self.masks!r}."
            )


def split_patients(
    cases: Sequence[CaseFiles], plan: SplitPlan | None = None
) -> dict[str, tuple[str, ...]]:
    """Assigns cases to splits, all cases of a patient to the same one.

    A wanted fraction is rounded to whole patients, at least one.

    Args:
        cases: The cases of the source.
        plan: Fractions or explicit ids; None for the defaults of `SplitPlan`.

    Returns:
        ``{"train": case ids, "validation": ..., "test": ...}``, each in the source's order.

    Raises:
        RecordError: If an id does not exist, if a patient would be in two splits, if a validation
            or test case has no mask, or if there are too few patients with masks for one in every
            wanted split.
    """
    plan = (plan or SplitPlan()).with_lists()
    ids = tuple(case.case_id for case in cases)
    patient_of = {case.case_id: case.patient_id for case in cases}
    unlabelled = {case.case_id for case in cases if case.mask is None}
    with_masks = {case.patient_id for case in cases if case.mask is not None}
    chosen: dict[str, set[str]] = {name: set() for name in SPLITS}
    for name in SPLITS:
        wanted = getattr(plan, name)
        if wanted is not None and not isinstance(wanted, int | float):
            listed = select_cases(wanted, ids, f"split {name}")
            _check_masks(name, unlabelled.intersection(listed))
            chosen[name] = {patient_of[case_id] for case_id in listed}
    _check_disjoint(chosen)

    free = sorted(with_masks - set().union(*chosen.values()))
    random.Random(plan.seed).shuffle(free)
    total = len(with_masks)
    for name in ("test", "validation"):
        fraction = getattr(plan, name)
        if isinstance(fraction, int | float) and fraction > 0:
            count = max(1, round(fraction * total))
            chosen[name], free = set(free[:count]), free[count:]
            if not chosen[name]:
                raise _too_few(name, total)
    if plan.train is None:
        chosen["train"] = set(free) | (set(patient_of.values()) - with_masks)
    if (plan.train is None or chosen["train"]) and not chosen["train"] & with_masks:
        raise _too_few("train", total)
    return {
        name: tuple(
            case_id
            for case_id in ids
            if patient_of[case_id] in chosen[name]
            and (name == "train" or case_id not in unlabelled)
        )
        for name in SPLITS
    }


def _is_named(case_id: str, named: set[str]) -> bool:
    """Whether one of the names, each an id or a number, means the case."""
    for name in named:
        try:
            select_case(name, (case_id,))
        except RecordError:
            continue
        return True
    return False


def _check_masks(split: str, unlabelled: set[str]) -> None:
    if split != "train" and unlabelled:
        raise RecordError(
            f"split {split}: case {', '.join(sorted(unlabelled))} has no mask. Expected cases with "
            f"masks, as there is nothing to compare with otherwise; leave it to the training."
        )


def _too_few(split: str, patients: int) -> RecordError:
    return RecordError(
        f"split {split}: no patient is left for it. Expected at least one patient with a mask per "
        f"wanted split, received {patients} in all. Lower the fractions, or set a split to 0."
    )


def _check_disjoint(patients: dict[str, set[str]]) -> None:
    for i, one in enumerate(SPLITS):
        for other in SPLITS[i + 1 :]:
            both = sorted(patients[one] & patients[other])
            if both:
                raise RecordError(
                    f"patient {', '.join(both)} is in both {one} and {other}. Expected every "
                    f"patient in one split only; remove it from one of them."
                )


def check_no_leakage(splits: dict[str, tuple[str, ...]], patient_of: dict[str, str]) -> None:
    """Raises a `RecordError` if a patient's cases lie in more than one split.

    Args:
        splits: Case ids of every split.
        patient_of: Patient of every case id.
    """
    _check_disjoint({name: {patient_of[i] for i in splits.get(name, ())} for name in SPLITS})
