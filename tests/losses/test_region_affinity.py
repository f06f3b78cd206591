import numpy as np
import pytest
import tensorflow as tf

from tests.losses.check_loss import batch, check_loss
from tfkd.losses import RegionAffinityDistillation, region_affinity_loss

HALVES = np.array([[[0, 1], [0, 1]]])  # left column background, right column target


def two_regions(background: tuple[float, ...], target: tuple[float, ...]) -> np.ndarray:
    """Features of a 2 × 2 image whose left half is `background` and right half `target`."""
    return np.array([[[background, target]] * 2], "float32")


PARALLEL = two_regions((1.0, 2.0), (2.0, 4.0))
ORTHOGONAL = two_regions((1.0, 0.0, 0.0), (0.0, 3.0, 0.0))
OPPOSITE = two_regions((1.0, -1.0), (-2.0, 2.0))


@pytest.mark.parametrize("variant", ["regions", "paper"])
@pytest.mark.parametrize("centering", [None, "batch", "none"])
def test_harness(variant, centering):
    check_loss(RegionAffinityDistillation(variant=variant, centering=centering))


def paper(teacher, student, labels=HALVES):
    return region_affinity_loss(teacher, student, labels, num_classes=2, variant="paper")


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [(PARALLEL, ORTHOGONAL, 1.0), (PARALLEL, OPPOSITE, 4.0), (PARALLEL, PARALLEL, 0.0)],
)
def test_paper_closed_form(teacher, student, expected):
    np.testing.assert_allclose(paper(teacher, student), [expected], atol=1e-6)


@pytest.mark.parametrize("only", [0, 1])
def test_paper_with_one_region_costs_nothing(only):
    labels = np.full((1, 2, 2), only)
    np.testing.assert_array_equal(paper(PARALLEL, OPPOSITE, labels), [0.0])


def test_paper_joins_every_foreground_class():
    teacher, student, labels = batch()
    joined = np.minimum(labels.argmax(-1), 1)
    np.testing.assert_allclose(
        region_affinity_loss(teacher, student, labels, variant="paper"),
        paper(teacher, student, joined),
        rtol=1e-5,
    )


def test_paper_takes_every_nth_pixel():
    """At stride 8 a 4-pixel target between the sampled pixels is not there."""
    labels = np.zeros((1, 16, 16), int)
    labels[0, 2:6, 2:6] = 1
    teacher, student = np.random.default_rng(0).normal(size=(2, 1, 2, 2, 4)).astype("float32")
    np.testing.assert_array_equal(paper(teacher, student, labels), [0.0])
    soft = region_affinity_loss(teacher, student, labels, num_classes=2, centering="none")
    assert soft[0] > 1e-4


def test_three_regions_by_hand():
    """Three one-pixel regions, not centred: teacher all parallel, student all orthogonal."""
    labels = np.array([[[0, 1, 2]]])
    teacher = np.array([[[[1.0], [2.0], [3.0]]]], "float32")
    student = np.eye(3, dtype="float32")[None, None]
    values = region_affinity_loss(teacher, student, labels, num_classes=3, centering="none")
    np.testing.assert_allclose(values, [1.0], rtol=1e-5)
    # Without class 2, one pair is left; the pixel belongs to class 0, whose mean it moves.
    labels = np.array([[[0, 1, 0]]])
    values = region_affinity_loss(teacher, student, labels, num_classes=3, centering="none")
    np.testing.assert_allclose(values, [1.0], rtol=1e-5)


def test_centering_removes_what_all_pixels_share():
    teacher, student, labels = batch()
    offset = np.full(student.shape[-1], 50.0, "float32")
    for centering in ("image", "batch"):
        np.testing.assert_allclose(
            region_affinity_loss(teacher, student + offset, labels, centering=centering),
            region_affinity_loss(teacher, student, labels, centering=centering),
            atol=1e-3,
        )


def test_two_regions_are_not_inert():
    """Centred by itself, an image of two regions has cosine −1 in every network."""
    teacher, student, _ = batch()
    labels = np.eye(2, dtype="float32")[np.random.default_rng(2).integers(0, 2, (3, 16, 16))]
    inert = region_affinity_loss(teacher, student, labels, centering="image")
    np.testing.assert_allclose(inert, 0, atol=1e-6)
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        loss = region_affinity_loss(teacher, variable, labels)
    assert np.all(loss.numpy() > 1e-4)
    assert np.abs(tape.gradient(loss, variable)).max() > 1e-6


def test_class_permutation_changes_nothing():
    teacher, student, labels = batch()
    np.testing.assert_allclose(
        region_affinity_loss(teacher, student, labels[..., [2, 0, 1]]),
        region_affinity_loss(teacher, student, labels),
        rtol=1e-4,
        atol=1e-7,
    )


@pytest.mark.parametrize("size", [(16, 16), (8, 8), (4, 8), (5, 3)])
def test_teacher_and_student_may_differ_in_size(size):
    """Features that are constant per class pixel keep their contrast when pixels are doubled."""
    teacher, _, labels = batch()
    student = np.asarray(tf.image.resize(teacher, size, antialias=True))
    values = region_affinity_loss(teacher, student, labels)
    assert values.shape == (3,)
    assert np.all(np.isfinite(values))


def test_area_average_is_exact_for_every_ratio():
    """Labels in two halves, features in three columns: the middle one belongs to both."""
    labels = np.repeat([[[0, 0, 0, 1, 1, 1]]], 6, axis=1)
    features = np.zeros((1, 4, 4, 2), "float32")
    features[0, :, :2, 0] = 1.0
    features[0, :, 2:, 1] = 1.0
    values = region_affinity_loss(
        np.ones((1, 6, 6, 1), "float32"), features, labels, num_classes=2, centering="none"
    )
    np.testing.assert_allclose(values, [1.0], rtol=1e-4)


def test_indices_need_the_number_of_classes():
    with pytest.raises(ValueError, match="num_classes"):
        region_affinity_loss(PARALLEL, PARALLEL, HALVES)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="variant"):
        RegionAffinityDistillation(variant="papre")
    with pytest.raises(ValueError, match="centering"):
        RegionAffinityDistillation(centering="imgae")
