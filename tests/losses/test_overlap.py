import numpy as np
import pytest
from scipy.special import softmax

from tests.losses.check_loss import batch, check_loss
from tfkd.losses import OverlapDistillation, overlap_loss


def test_harness():
    check_loss(OverlapDistillation(), channels=(3, 3))


def test_formula():
    teacher, student, _ = batch(channels=(3, 3))
    t, s = softmax(teacher / 2.0, axis=-1), softmax(student / 2.0, axis=-1)
    common = (t * s).sum((0, 1, 2))[1:]
    squares = (t**2 + s**2).sum((0, 1, 2))[1:]
    expected = np.mean(1 - (2 * common + 0.5) / (squares + 0.5))
    values = overlap_loss(teacher, student, temperature=2.0, smooth=0.5)
    np.testing.assert_allclose(values, [expected] * len(teacher), rtol=1e-5)


def test_equal_networks_cost_nothing_and_no_other_student_costs_less():
    teacher, other, _ = batch(channels=(3, 3))
    np.testing.assert_allclose(overlap_loss(teacher, teacher), 0, atol=1e-6)
    # Sharper than the teacher is worse, too: the least value is at equal probabilities.
    assert np.all(np.asarray(overlap_loss(teacher, 3.0 * teacher)) > 1e-3)
    assert np.all(np.asarray(overlap_loss(teacher, other)) > 1e-2)


def test_many_pixels_do_not_round_it_below_zero():
    """Sums over 128 × 128 pixels, of networks that are almost the same."""
    teacher = np.broadcast_to(np.float32([0.3, 0.1, 0.2]), (8, 128, 128, 3))
    expected = overlap_loss(teacher[:1, :8, :8], teacher[:1, :8, :8] * 1.01, smooth=1e-6)[0]
    assert expected > 0
    loss = overlap_loss(teacher, teacher * np.float32(1.01), smooth=1e-6)
    np.testing.assert_allclose(loss, expected, rtol=0.01)


def test_class_that_neither_sees_costs_nothing():
    logits = np.zeros((2, 8, 8, 3), "float32")
    logits[..., 0] = 30.0
    np.testing.assert_allclose(overlap_loss(logits, logits + 1.0), 0, atol=1e-6)


def test_small_regions_weigh_as_much_as_large_ones():
    """Missing 4 of 4 pixels costs what missing 60 of 60 does, but for the smoothing."""
    teacher = np.full((1, 16, 16, 3), -20.0, "float32")
    teacher[..., 0] = 0.0
    teacher[0, :2, :2, 1] = 20.0
    teacher[0, 4:10, 4:14, 2] = 20.0
    costs = []
    for missed in (1, 2):
        student = teacher.copy()
        student[..., missed] = -20.0
        costs.append(float(overlap_loss(teacher, student, smooth=1e-3)[0]))
    np.testing.assert_allclose(costs, 0.5, rtol=1e-3)


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"smooth": 0.0}])
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match="temperature > 0 and smooth > 0"):
        OverlapDistillation(**settings)
