from tfkd.records.label_counts import LabelCount, count_label
from tfkd.records.manifest import CaseRecord


def record(voxels: tuple[int, ...], mask: str | None = "m") -> CaseRecord:
    """Two slices without and three with label 1; voxels of 30 mm³."""
    runs = ((2, ()), (3, (1,)))
    return CaseRecord(
        "a", "a", "i", mask, "", None, (5, 9, 9), (10.0, 1.5, 2.0), runs, False, voxels
    )


def test_voxels_become_millilitres() -> None:
    masked = [record((90, 10)), record((80, 20))]
    assert count_label(1, "liver", masked) == LabelCount("liver", 2, 6, 30, 0.9)
    assert count_label(1, "liver", []) == LabelCount("liver", 0, 0, 0, 0.0)


def test_a_case_without_mask_counts_nothing_and_old_records_do_not_say() -> None:
    assert count_label(1, "liver", [record((90, 10)), record((), None)]).voxels == 10
    old = count_label(1, "liver", [record((90, 10)), record(())])
    assert (old.cases, old.voxels, old.volume_ml) == (2, None, None)
