import numpy as np
import pytest

from tfkd.records.sampling import Sampling, expected_copies, slice_groups

# 60 empty slices, 30 with liver, 10 with liver and tumour
LABELS = [()] * 60 + [(1,)] * 30 + [(1, 2)] * 10


def shares(copies: np.ndarray, groups: np.ndarray) -> list[float]:
    return [round(float(copies[groups == g].sum() / copies.sum()), 6) for g in np.unique(groups)]


def test_a_slice_belongs_to_its_rarest_label() -> None:
    assert slice_groups([(), (1,), (1, 2), (1,), (2, 3), (2,)]).tolist() == [0, 1, 1, 1, 3, 2]
    assert np.bincount(slice_groups(LABELS)).tolist() == [60, 30, 10]


def test_shares_are_as_stated() -> None:
    groups = slice_groups(LABELS)
    copies = expected_copies(groups, 100, Sampling(empty_share=0.2, max_copies=10))
    assert copies.sum() == pytest.approx(100)
    assert shares(copies, groups) == [0.2, 0.4, 0.4]
    assert copies[-1] == pytest.approx(4)


def test_a_tiny_group_is_limited_and_the_others_take_its_place() -> None:
    groups = slice_groups(LABELS)
    copies = expected_copies(groups, 100, Sampling(empty_share=0.2, max_copies=2))
    assert copies[-1] == pytest.approx(2)
    assert copies.sum() == pytest.approx(100)
    # what is left, 80 slices, keeps the ratio of 0.2 to 0.4, but liver slices reach the limit too
    assert shares(copies, groups) == [0.266667, 0.533333, 0.2]


def test_the_limit_can_bind_everything() -> None:
    groups = slice_groups(LABELS)
    assert expected_copies(groups, 100, Sampling(max_copies=1)).tolist() == pytest.approx([1] * 100)


def test_shares_do_not_depend_on_the_length_of_the_epoch() -> None:
    groups = slice_groups(LABELS)
    short, long = (expected_copies(groups, n, Sampling()) for n in (10, 1000))
    assert short * 100 == pytest.approx(long)


def test_without_empty_or_without_foreground_slices() -> None:
    full = slice_groups([(1,)] * 4)
    assert expected_copies(full, 8, Sampling()).tolist() == [2] * 4
    empty = slice_groups([()] * 4)
    assert expected_copies(empty, 8, Sampling(empty_share=0)).tolist() == [2] * 4
    both = slice_groups([(), (1,)])
    assert expected_copies(both, 2, Sampling(empty_share=0)).tolist() == [0, 2]


@pytest.mark.parametrize(
    "wrong", [{"empty_share": 1.0}, {"empty_share": -0.1}, {"max_copies": 0.5}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Sampling(**wrong)
