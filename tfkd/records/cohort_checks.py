"""What the masks of a whole cohort hold, and do not hold: no target vanishes without a word."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from tfkd.errors import RecordError
from tfkd.records.case_files import Source
from tfkd.records.manifest import CaseRecord
from tfkd.volumes import IGNORE_LABEL

__all__ = ["check_labels_held", "tell_equal_cts"]

_SHOWN = 3  # cases named in a message


def check_labels_held(source: Source, records: Sequence[CaseRecord], train: Sequence[str]) -> None:
    """Looks for classes that the masks of a cohort do not hold, or that its records have lost.

    Args:
        source: The cohort, in the order of `records`.
        records: Its cases, all prepared.
        train: Ids of the training cases.

    Raises:
        RecordError: If no mask holds any class, and some hold `IGNORE_LABEL`: 0/255 masks.

    Warns:
        UserWarning: If a class is in no mask, or in none of the training; if a mask holds
            `IGNORE_LABEL` and no class; or if a class that a mask holds is in no slice of its
            records.
    """
    masked = [record for record in records if record.mask is not None]
    if not masked:
        return
    held = np.array([record.voxels_per_label for record in masked], np.int64) > 0
    ignored = np.array([record.ignored_voxels > 0 for record in masked])
    _check_0_255(source, masked, held, ignored)
    _tell_absent(source, masked, held, ignored, train)
    _tell_lost(source, masked, held)


def tell_equal_cts(
    source: Source, records: Sequence[CaseRecord], splits: Mapping[str, Sequence[str]]
) -> None:
    """Warns of files that are one CT under two names, first of those in different splits.

    Args:
        source: The cohort.
        records: Its cases, all prepared.
        splits: Case ids of every split.
    """
    split_of = {case_id: split for split, ids in splits.items() for case_id in ids}
    by_file: dict[str, list[str]] = {}
    for record in records:
        by_file.setdefault(record.image_sha256, []).append(record.case_id)
    equal = [ids for ids in by_file.values() if len(ids) > 1]
    if not equal:
        return
    equal.sort(key=lambda ids: -len({split_of[case_id] for case_id in ids}))
    shown = ["; ".join(f"{case_id} ({split_of[case_id]})" for case_id in ids) for ids in equal]
    more = f" and {len(equal) - _SHOWN} more" if len(equal) > _SHOWN else ""
    warnings.warn(
        f"{source.root}: cases have the very same CT: {' | '.join(shown[:_SHOWN])}{more}. Expected "
        f"a patient in one split only, and once. Remove the copies.",
        UserWarning,
        stacklevel=3,
    )


def _check_0_255(
    source: Source, masked: list[CaseRecord], held: np.ndarray, ignored: np.ndarray
) -> None:
    """Masks that hold 255 and no class: is 255 meant for the target?"""
    suspect = ignored & ~held[:, 1:].any(axis=1)
    if not suspect.any():
        return
    cases = [record for record, one in zip(masked, suspect, strict=True) if one]
    values = str(IGNORE_LABEL)
    if source.ignored_label not in (None, IGNORE_LABEL):
        values += f" or {source.ignored_label} (ignore)"
    files = "the mask" if len(masked) == 1 else f"{len(cases)} of {len(masked)} masks"
    verb = "holds" if len(cases) == 1 else "hold"
    text = (
        f"{source.root}: {files} {verb} {values} and never "
        f"{_classes(source, range(1, held.shape[1]))}: {_files(cases)}. 0/255 masks must be "
        f"stored as 0/1; {values} means no label."
    )
    if not held[:, 1:].any():
        raise RecordError(f"{text} Correct the masks, and prepare again.")
    warnings.warn(text, UserWarning, stacklevel=4)


def _tell_absent(
    source: Source,
    masked: list[CaseRecord],
    held: np.ndarray,
    ignored: np.ndarray,
    train: Sequence[str],
) -> None:
    of_train = np.array([record.case_id in set(train) for record in masked])
    absent = [label for label in range(1, held.shape[1]) if not held[:, label].any()]
    if absent:
        also = ""
        if ignored.any():
            also = (
                f" {int(ignored.sum())} of them hold {IGNORE_LABEL}, which means no label; if it "
                f"is meant for a class, store the value of the class."
            )
        warnings.warn(
            f"{source.root}: none of the {len(masked)} masks holds {_classes(source, absent)}. A "
            f"network cannot learn it, nor be judged on it.{also} Check the masks and the list of "
            f"labels.",
            UserWarning,
            stacklevel=4,
        )
    if not of_train.any():
        return
    untaught = [
        label
        for label in range(1, held.shape[1])
        if label not in absent and not held[of_train, label].any()
    ]
    if untaught:
        warnings.warn(
            f"{source.root}: none of the {int(of_train.sum())} training masks holds "
            f"{_classes(source, untaught)}, which other masks hold. A network cannot learn it; "
            f"split otherwise, or use more masks.",
            UserWarning,
            stacklevel=4,
        )


def _tell_lost(source: Source, masked: list[CaseRecord], held: np.ndarray) -> None:
    """Classes that the fitting to the records' slices has lost altogether, case by case."""
    lost = {}
    for record, row in zip(masked, held, strict=True):
        labels = [n for n in np.flatnonzero(row).tolist() if n > 0 and not record.slices_with(n)]
        if labels:
            names = ", ".join(source.class_names[label] for label in labels[:_SHOWN])
            lost[record.case_id] = f"{record.case_id} ({names})"
    if lost:
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        warnings.warn(
            f"{source.root}: {len(lost)} of {len(masked)} masks hold a class that no slice of "
            f"their records holds, as it is smaller than a pixel there or outside their field: "
            f"{', '.join(list(lost.values())[:_SHOWN])}{more}. Consider a larger size.",
            UserWarning,
            stacklevel=4,
        )


def _classes(source: Source, labels: Sequence[int]) -> str:
    """Such as ``class 1 (liver) or 2 (tumour)``; of a target, its name in the records."""
    named = [f"{label} ({source.class_names[label]})" for label in labels]
    return f"class {' or '.join(named)}" if len(named) < 6 else f"any of {len(named)} classes"


def _files(cases: list[CaseRecord]) -> str:
    more = f" and {len(cases) - _SHOWN} more" if len(cases) > _SHOWN else ""
    named = [f"{case.case_id} ({case.mask})" for case in cases[:_SHOWN]]
    return f"case{'s'[: len(cases) > 1]} {', '.join(named)}{more}"
