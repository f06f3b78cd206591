import warnings
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source
from tfkd.records.cohort_checks import check_labels_held, tell_equal_cts
from tfkd.records.manifest import CaseRecord

NAMES = ("background", "liver", "tumour")


def check(
    *voxels: tuple[int, ...],
    ignored: tuple[int, ...] = (),
    train: tuple[str, ...] = ("0", "1"),
    names: tuple[str, ...] = NAMES,
    in_slices: bool = True,
) -> None:
    """Checks a cohort whose case k has `voxels[k]` of each class, those of no label last."""
    cases = tuple(
        CaseFiles(str(k), Path(f"{k}.nii"), Path(f"m{k}.nii"), "p") for k in range(len(voxels))
    )
    source = Source("x", Path("cohort"), cases, names, (0.0, 1.0))
    records = []
    for k, counts in enumerate(voxels):
        shown = tuple(int(n) for n in np.flatnonzero(counts) if n) if in_slices else ()
        records.append(
            CaseRecord(
                *(str(k), "p", f"{k}.nii", f"m{k}.nii", "", "", (1, 9, 9), (1.0, 1.0, 1.0)),
                presence_runs=((1, shown),),
                voxels_per_label=counts,
                ignored_voxels=ignored[k] if ignored else 0,
            )
        )
    check_labels_held(source, records, train)


def test_a_cohort_with_every_class_is_silent() -> None:
    check((9, 5, 1), (9, 0, 0), (9, 5, 0))
    check((9, 5, 1), (9, 1, 0), ignored=(7, 7))


def test_masks_of_0_and_255_are_refused() -> None:
    said = (
        r"cohort: 2 of 2 masks hold 255 and never class 1 \(liver\): cases 0 \(m0\.nii\), 1 "
        r"\(m1\.nii\)\. 0/255 masks must be stored as 0/1; 255 means no label"
    )
    with pytest.raises(RecordError, match=said):
        check((9, 0), (9, 0), ignored=(5, 6), names=NAMES[:2])
    with pytest.raises(RecordError, match=r"1 of 2 masks holds 255 and never class 1 \(liver\) or"):
        check((9, 0, 0), (9, 0, 0), ignored=(5, 0))


def test_some_masks_of_0_and_255_are_told() -> None:
    with pytest.warns(UserWarning, match=r"1 of 2 masks holds 255 and never.*case 1 \(m1\.nii\)"):
        check((9, 5, 1), (9, 0, 0), ignored=(0, 5))


def test_a_class_in_no_mask_is_told() -> None:
    with pytest.warns(UserWarning, match=r"none of the 2 masks holds class 2 \(tumour\)") as said:
        check((9, 5, 0), (9, 5, 0))
    assert len(said) == 1
    assert "255" not in str(said[0].message)
    with pytest.warns(UserWarning, match="1 of them hold 255, which means no label"):
        check((9, 5, 0), (9, 5, 0), ignored=(3, 0))
    with pytest.warns(UserWarning, match=r"class 1 \(liver\) or 2 \(tumour\)"):
        check((9, 0, 0), (9, 0, 0))


def test_a_class_in_no_training_mask_is_told() -> None:
    with pytest.warns(UserWarning, match=r"none of the 2 training masks holds class 2 \(tumour\)"):
        check((9, 5, 0), (9, 5, 0), (9, 5, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check((9, 5, 0), (9, 5, 5), train=())


def test_a_class_that_the_slices_have_lost_is_told() -> None:
    with pytest.warns(UserWarning, match=r"2 of 2 masks hold a class that no slice.*0 \(liver, tu"):
        check((9, 5, 1), (9, 5, 1), in_slices=False)


def test_one_ct_under_two_names_is_told() -> None:
    cases = tuple(CaseFiles(str(k), Path(f"{k}.nii"), None, "p") for k in range(3))
    source = Source("x", Path("cohort"), cases, NAMES, (0.0, 1.0))
    geometry = ((1, 9, 9), (1.0, 1.0, 1.0), ())
    records = [
        CaseRecord(str(k), "p", f"{k}.nii", None, "ab"[k > 1], None, *geometry) for k in (0, 1, 2)
    ]
    with pytest.warns(
        UserWarning, match=r"cohort: cases have the very same CT: 0 \(train\); 1 \(test\)\."
    ):
        tell_equal_cts(source, records, {"train": ("0", "2"), "test": ("1",)})
