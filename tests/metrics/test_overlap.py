"""Counts and Dice on arrays that can be checked by hand."""

import numpy as np
import pytest

from tfkd.metrics import confusion_counts, describe_empty_policy, dice_from_counts, dice_per_class


def random_labels(seed: int, num_classes: int = 4, shape: tuple[int, ...] = (3, 8, 9)):
    return np.random.default_rng(seed).integers(0, num_classes, shape, dtype=np.uint8)


def test_counts_by_hand():
    truth = np.array([[0, 0, 1], [1, 1, 2]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 2, 0]], np.uint8)
    counts = confusion_counts(truth, prediction, 4)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, [[1, 1, 1], [2, 1, 1], [0, 1, 1], [0, 0, 0]])


def test_dice_by_hand():
    truth = np.array([0, 1, 1, 1, 2, 0], np.uint8)
    prediction = np.array([1, 1, 1, 0, 0, 0], np.uint8)
    # background: 2·1/(2 + 2 + 1); class 1: 2·2/(4 + 1 + 1); class 2: missed.
    np.testing.assert_allclose(dice_per_class(truth, prediction, 3), [2 / 5, 2 / 3, 0])


@pytest.mark.parametrize(("empty", "expected"), [("exclude", np.nan), ("one", 1), ("zero", 0)])
def test_policy_touches_only_the_doubly_empty(empty, expected):
    # Columns: perfect, both empty, false positive on an empty truth, missed target.
    dice = dice_from_counts([5, 0, 0, 0], [0, 0, 7, 0], [0, 0, 0, 7], empty=empty)
    np.testing.assert_array_equal(dice, [1, expected, 0, 0])
    assert f'empty="{empty}"' in describe_empty_policy(empty)


def test_default_policy_is_exclude():
    assert np.isnan(dice_from_counts(0, 0, 0))
    assert 'empty="exclude"' in describe_empty_policy()


def test_dice_is_symmetric():
    truth, prediction = random_labels(0), random_labels(1)
    np.testing.assert_array_equal(
        dice_per_class(truth, prediction, 4), dice_per_class(prediction, truth, 4)
    )
    np.testing.assert_array_equal(
        confusion_counts(truth, prediction, 4)[:, [0, 2, 1]],
        confusion_counts(prediction, truth, 4),
    )


def test_class_permutation_permutes_the_counts():
    truth, prediction = random_labels(2), random_labels(3)
    order = np.array([2, 0, 3, 1], np.uint8)
    permuted = confusion_counts(order[truth], order[prediction], 4)
    np.testing.assert_array_equal(permuted[order], confusion_counts(truth, prediction, 4))


def test_voxel_order_and_axes_do_not_matter():
    truth, prediction = random_labels(4), random_labels(5)
    expected = confusion_counts(truth, prediction, 4)
    for change in (np.ravel, np.flip, np.transpose):
        np.testing.assert_array_equal(
            confusion_counts(change(truth), change(prediction), 4), expected
        )


def test_perfect_prediction_scores_one_or_is_empty():
    truth = random_labels(6, num_classes=3)
    np.testing.assert_array_equal(dice_per_class(truth, truth, 4), [1, 1, 1, np.nan])


def test_counts_add_up():
    truth, prediction = random_labels(7), random_labels(8)
    counts = confusion_counts(truth, prediction, 4)
    np.testing.assert_array_equal(counts[:, 0] + counts[:, 2], np.bincount(truth.ravel()))
    np.testing.assert_array_equal(counts[:, 0] + counts[:, 1], np.bincount(prediction.ravel()))


@pytest.mark.parametrize("empty", ["exclude", "one", "zero"])
def test_a_further_miss_never_improves_a_present_class(empty):
    truth = random_labels(9, num_classes=2)
    prediction = truth.copy()
    previous = 1.0
    for voxel in np.flatnonzero(truth):
        prediction.ravel()[voxel] = 0
        score = dice_per_class(truth, prediction, 2, empty)[1]
        assert score < previous
        previous = score
    assert previous == 0


def test_bool_and_scalar_and_empty_arrays():
    np.testing.assert_array_equal(
        confusion_counts(np.array([True, False]), np.array([True, True]), 2),
        [[0, 0, 1], [1, 1, 0]],
    )
    assert (
        confusion_counts(np.zeros((0, 4, 4), np.uint8), np.zeros((0, 4, 4), np.uint8), 2).sum() == 0
    )
    np.testing.assert_array_equal(
        confusion_counts(np.array(1), np.array(1), 2), [[0, 0, 0], [1, 0, 0]]
    )


def test_errors_say_what_was_received():
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(2, 3\)"):
        confusion_counts(np.zeros((2, 2), int), np.zeros((2, 3), int), 2)
    with pytest.raises(ValueError, match=r"prediction in \[0, 2\).*0 to 5"):
        confusion_counts(np.zeros(2, int), np.array([0, 5]), 2)
    with pytest.raises(ValueError, match="float64"):
        confusion_counts(np.zeros(2, int), np.zeros(2), 2)
    with pytest.raises(ValueError, match="Received: empty='drop'"):
        dice_from_counts(1, 0, 0, empty="drop")


def test_voxels_without_label_are_not_counted():
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 3, (2, 4, 5, 6)).astype(np.uint8)
    ignored = rng.random(truth.shape) < 0.3
    expected = confusion_counts(truth[~ignored], guess[~ignored], 3)
    truth[ignored] = 255
    np.testing.assert_array_equal(confusion_counts(truth, guess, 3), expected)
    truth[:] = 255
    assert not confusion_counts(truth, guess, 3).any()
