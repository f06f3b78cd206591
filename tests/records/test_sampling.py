import numpy as np
import pytest

from tfkd.records.sampling import UNLABELLED, Sampling, expected_copies, slice_groups

# 60 empty slices, 30 with liver, 10 with liver and tumour
LABELS = [()] * 60 + [(1,)] * 30 + [(1, 2)] * 10


def shares(copies: np.ndarray) -> list[float]:
    """Of empty slices, of those with liver only, and of those with a tumour."""
    return [round(float(part.sum() / copies.sum()), 6) for part in np.split(copies, [60, 90])]


def test_a_slice_belongs_to_its_rarest_label() -> None:
    assert slice_groups([(), (1,), (1, 2), (1,), (2, 3), (2,)]).tolist() == [0, 1, 1, 1, 3, 2]
    assert np.bincount(slice_groups(LABELS)).tolist() == [60, 30, 10]


def test_shares_are_as_stated() -> None:
    copies = expected_copies(LABELS, 100, Sampling(empty_share=0.3, max_copies=10))
    assert copies.sum() == pytest.approx(100)
    # 30 / 40 slices with liver to 10 / 10 with tumour, of the 70 % that are not empty
    assert shares(copies) == [0.3, 0.3, 0.4]
    assert copies[-1] / copies[60] == pytest.approx(4)  # 40 slices with liver, 10 with tumour


def test_a_tiny_group_is_limited_and_the_others_take_its_place() -> None:
    copies = expected_copies(LABELS, 100, Sampling(empty_share=0.3, max_copies=2))
    assert copies[-1] == pytest.approx(2)
    assert copies.sum() == pytest.approx(100)
    assert shares(copies) == [0.4, 0.4, 0.2]  # what is left keeps its ratio of 0.3 to 0.3


def test_the_limit_can_bind_everything() -> None:
    assert expected_copies(LABELS, 100, Sampling(max_copies=1)).tolist() == pytest.approx([1] * 100)


def test_many_nested_classes_do_not_starve_the_rarest() -> None:
    labels = [tuple(range(1, 1 + top)) for top in range(1, 9) for _ in range(20)]
    copies = expected_copies(labels, len(labels), Sampling(empty_share=0, max_copies=100))
    for label in range(2, 9):
        holds = np.array([label in present for present in labels])
        assert copies[holds].sum() > holds.sum()


def test_shares_do_not_depend_on_the_length_of_the_epoch() -> None:
    short, long = (expected_copies(LABELS, n, Sampling()) for n in (10, 1000))
    assert short * 100 == pytest.approx(long)


def test_without_empty_or_without_foreground_slices() -> None:
    assert expected_copies([(1,)] * 4, 8, Sampling()).tolist() == [2] * 4
    assert expected_copies([()] * 4, 8, Sampling(empty_share=0)).tolist() == [2] * 4
    assert expected_copies([()] * 4, 8, Sampling()).tolist() == [2] * 4
    assert expected_copies([(), (1,)], 2, Sampling(empty_share=0)).tolist() == [0, 2]


def test_slices_without_labels_take_their_share_and_leave_the_rest_as_it_is() -> None:
    labels = [UNLABELLED] * 50 + LABELS + [UNLABELLED] * 250
    alone = expected_copies(LABELS, 100, Sampling(empty_share=0.3))
    for share in (0.0, 0.25, 0.9):
        copies = expected_copies(labels, 400, Sampling(empty_share=0.3, unlabelled_share=share))
        assert copies[:50] == pytest.approx(400 * share / 300)
        assert copies[150:] == pytest.approx(400 * share / 300)
        assert copies[50:150] == pytest.approx(4 * (1 - share) * alone)


def test_a_few_slices_without_labels_are_limited() -> None:
    labels = [UNLABELLED] * 10 + [(1,)] * 90
    copies = expected_copies(labels, 100, Sampling(unlabelled_share=0.5, max_copies=2))
    assert copies[:10] == pytest.approx(2)
    assert copies.sum() == pytest.approx(100)


def test_without_any_labels_there_is_nothing_else_to_show() -> None:
    assert expected_copies([UNLABELLED] * 4, 8, Sampling()).tolist() == [2] * 4
    assert expected_copies(LABELS, 100, Sampling(unlabelled_share=0.5)).tolist() == (
        expected_copies(LABELS, 100, Sampling()).tolist()
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"empty_share": 1.0},
        {"empty_share": -0.1},
        {"unlabelled_share": 1.0},
        {"max_copies": 0.5},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Sampling(**wrong)
