import numpy as np
import pytest

from tests.losses.check_loss import check_loss
from tfkd.losses import PredictionMapDistillation, prediction_map_loss


def test_harness():
    check_loss(PredictionMapDistillation(), channels=(3, 3))


def test_closed_form():
    """Student (0, 0), teacher (4 ln 3, 0): 16 · KL((¾, ¼) ‖ (½, ½))."""
    teacher = np.broadcast_to(np.array([4 * np.log(3), 0.0]), (2, 3, 3, 2))
    expected = 16 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    values = prediction_map_loss(teacher, np.zeros_like(teacher))
    np.testing.assert_allclose(values, [expected] * 2, rtol=1e-5)
    assert expected == pytest.approx(2.092993, abs=1e-6)


def test_a_constant_per_pixel_changes_nothing():
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 2, 4, 4, 3)).astype("float32")
    shift = rng.normal(size=(2, 4, 4, 1)).astype("float32")
    np.testing.assert_allclose(
        prediction_map_loss(teacher, student + shift),
        prediction_map_loss(teacher, student),
        rtol=1e-3,
    )
    np.testing.assert_allclose(prediction_map_loss(teacher, teacher), 0, atol=1e-6)


def test_temperature_is_checked():
    with pytest.raises(ValueError, match="temperature > 0"):
        PredictionMapDistillation(temperature=0)


def test_harness_of_the_balanced_form():
    check_loss(PredictionMapDistillation(balanced=True), channels=(3, 3))


def test_balanced_form_weighs_regions_alike():
    """One wrong tumour pixel in 16 costs ½ · KL instead of 1/16 · KL, and classes may be absent."""
    labels = np.zeros((1, 4, 4), int)
    labels[0, 1, 2] = 1
    student = np.zeros((1, 4, 4, 3), "float32")
    teacher = student.copy()
    teacher[0, 1, 2, 1] = 4 * np.log(3)
    plain = prediction_map_loss(teacher, student, labels)
    balanced = prediction_map_loss(teacher, student, labels, balanced=True)
    np.testing.assert_allclose(balanced, 8 * np.asarray(plain), rtol=1e-5)


def test_balanced_form_of_one_region_is_the_plain_mean():
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 2, 4, 4, 3)).astype("float32")
    labels = np.zeros((2, 4, 4), int)
    np.testing.assert_allclose(
        prediction_map_loss(teacher, student, labels, balanced=True),
        prediction_map_loss(teacher, student),
        rtol=1e-5,
    )
