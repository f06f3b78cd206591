import numpy as np
import pytest

from tests.losses.check_loss import check_loss
from tfkd.losses import ImportanceMapDistillation, importance_map_loss


@pytest.mark.parametrize("power", [1.0, 4.0])
def test_harness(power):
    check_loss(ImportanceMapDistillation(power=power))


@pytest.mark.parametrize("scale", [1e-3, 0.5, 1e3])
def test_proportional_features_cost_nothing(scale):
    features = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(importance_map_loss(features, scale * features), 0, atol=1e-6)


def test_disjoint_supports_cost_two():
    teacher = np.zeros((1, 2, 2, 1), "float32")
    student = np.zeros((1, 2, 2, 4), "float32")
    teacher[0, 0, 0] = 3.0
    student[0, 1, 1] = -0.5
    np.testing.assert_allclose(importance_map_loss(teacher, student), [2.0], rtol=1e-5)


def test_dead_features():
    zeros = np.zeros((1, 2, 2, 1), "float32")
    np.testing.assert_allclose(importance_map_loss(zeros, zeros), [0.0], atol=1e-6)
    np.testing.assert_allclose(importance_map_loss(zeros + 1, zeros), [1.0], rtol=1e-5)


def test_sizes_may_differ():
    """A constant map is the same map at every size."""
    teacher = np.ones((1, 8, 8, 2), "float32")
    student = 5 * np.ones((1, 4, 4, 3), "float32")
    np.testing.assert_allclose(importance_map_loss(teacher, student), [0.0], atol=1e-6)


def test_power_is_checked():
    with pytest.raises(ValueError, match="power >= 1"):
        ImportanceMapDistillation(power=0.5)
