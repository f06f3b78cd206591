import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.losses import FocalDice, focal_dice_loss


def one_hot_logits(labels: np.ndarray, classes: int, confidence: float = 30.0) -> np.ndarray:
    return confidence * np.eye(classes, dtype="float32")[labels]


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, (2, 8, 8))


def test_focal_closed_form(labels):
    """Uniform probabilities 1/3: focal = (2/3)² · ln 3 at every pixel."""
    values = focal_dice_loss(labels, np.zeros((2, 8, 8, 3), "float32"), dice_share=0.0)
    np.testing.assert_allclose(values, np.full(2, (2 / 3) ** 2 * np.log(3)), rtol=1e-5)


def test_dice_closed_form():
    """One image of 4 pixels, 2 foreground, p = ½ everywhere: 1 − (2·1 + 1)/(2 + 2 + 1) = 0.4."""
    labels = np.array([[[0, 0], [1, 1]]])
    values = focal_dice_loss(labels, np.zeros((1, 2, 2, 2), "float32"), dice_share=1.0)
    np.testing.assert_allclose(values, [0.4], rtol=1e-6)


def test_dice_with_squares_closed_form():
    """The same image: Σp² = 4·¼ = 1, so 1 − (2·1 + 1)/(1 + 2 + 1) = 0.25."""
    labels = np.array([[[0, 0], [1, 1]]])
    logits = np.zeros((1, 2, 2, 2), "float32")
    values = focal_dice_loss(labels, logits, dice_share=1.0, dice_squares=True)
    np.testing.assert_allclose(values, [0.25], rtol=1e-6)


def test_gamma_zero_is_cross_entropy(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    expected = keras.ops.mean(
        keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True), axis=(1, 2)
    )
    values = focal_dice_loss(labels, logits, gamma=0.0, dice_share=0.0)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_perfect_prediction_costs_nothing_with_a_class_absent():
    labels = np.zeros((2, 8, 8), int)
    values = focal_dice_loss(labels, one_hot_logits(labels, 3))
    np.testing.assert_allclose(values, 0, atol=1e-4)


def test_label_forms_agree(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    expected = focal_dice_loss(labels, logits)
    for form in (labels[..., None], np.eye(3)[labels], labels.astype("uint8")):
        np.testing.assert_allclose(focal_dice_loss(form, logits), expected, rtol=1e-6)


def test_soft_masks():
    """Half of each of two classes, p = ½: p_y = ½ and log p_y = −ln 2."""
    values = focal_dice_loss(np.full((1, 2, 2, 2), 0.5), np.zeros((1, 2, 2, 2)), dice_share=0.0)
    np.testing.assert_allclose(values, [0.25 * np.log(2)], rtol=1e-6)


def test_foreground_permutation_changes_nothing(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    swapped = np.array([0, 2, 1])[labels]
    np.testing.assert_allclose(
        focal_dice_loss(swapped, logits[..., [0, 2, 1]]), focal_dice_loss(labels, logits), rtol=1e-5
    )


def test_a_slice_of_weight_zero_counts_for_nothing(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    alone = focal_dice_loss(labels[:1], logits[:1])
    weighted = focal_dice_loss(labels, logits, np.array([1.0, 0.0]))
    np.testing.assert_allclose(weighted, [alone[0], 0.0], rtol=1e-5, atol=1e-7)


def test_weights_scale_the_loss(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    expected = 2 * focal_dice_loss(labels, logits, dice_share=0.0)
    for weight in (np.full(2, 2.0), np.full((2, 1), 2.0), np.full((2, 8, 8), 2.0)):
        np.testing.assert_allclose(
            focal_dice_loss(labels, logits, weight, dice_share=0.0), expected, rtol=1e-5
        )


def test_pixels_without_label_are_ignored(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    expected = focal_dice_loss(labels[:, :, :4], logits[:, :, :4])
    logits[:, :, 4:] += 3 * np.arange(3)
    labels[:, :, 4:] = 255
    np.testing.assert_allclose(focal_dice_loss(labels, logits), expected, rtol=1e-5)
    one_hot = np.eye(3)[np.where(labels == 255, 0, labels)] * (labels != 255)[..., None]
    np.testing.assert_allclose(focal_dice_loss(one_hot, logits), expected, rtol=1e-5)


def test_slices_without_labels_cost_nothing_and_take_nothing_away(labels):
    logits = np.random.default_rng(1).normal(size=(4, 8, 8, 3)).astype("float32")
    mixed = np.concatenate([labels, np.full((2, 8, 8), 255)])
    values = np.array(focal_dice_loss(mixed, logits))
    np.testing.assert_array_equal(values[2:], 0)
    alone = focal_dice_loss(labels, logits[:2])
    np.testing.assert_allclose(values.mean(), np.mean(alone), rtol=1e-5)
    # of a slice of which half is labelled, each pixel weighs as much as any other
    mixed[1, 4:] = 255
    focal = focal_dice_loss(mixed, logits, dice_share=0.0)
    each = [focal_dice_loss(mixed[:1], logits[:1], dice_share=0.0)[0]]
    each.append(focal_dice_loss(mixed[1:2, :4], logits[1:2, :4], dice_share=0.0)[0])
    np.testing.assert_allclose(np.mean(focal), (64 * each[0] + 32 * each[1]) / 96, rtol=1e-5)


def test_weights_and_ignored_pixels_go_together(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    mixed = np.concatenate([labels, np.full((2, 8, 8), 255)])
    weight = np.array([1.0, 0.5, 2.0, 1.0])
    values = focal_dice_loss(mixed, np.concatenate([logits, logits]), weight)
    expected = focal_dice_loss(labels, logits, weight[:2])
    np.testing.assert_allclose(np.mean(values), np.mean(expected), rtol=1e-5)


@pytest.mark.parametrize("weight", [None, 0.0])
def test_a_batch_without_labels_costs_nothing(weight):
    logits = tf.Variable(np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32"))
    weights = None if weight is None else tf.fill((2,), weight)
    with tf.GradientTape() as tape:
        loss = FocalDice()(np.full((2, 8, 8), 255), logits, weights)
    np.testing.assert_array_equal(loss, 0)
    np.testing.assert_array_equal(tape.gradient(loss, logits), np.zeros(logits.shape))


def test_gradient_is_finite_where_the_network_is_certain(labels):
    logits = tf.constant(one_hot_logits(labels, 3, 200.0))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = FocalDice(gamma=0.5)(labels, logits)
    assert np.all(np.isfinite(tape.gradient(loss, logits)))


def test_class_is_the_mean_and_round_trips(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    settings = {"gamma": 1.5, "dice_share": 0.3, "dice_squares": True, "smooth": 2.0}
    loss = FocalDice(**settings)
    expected = np.mean(focal_dice_loss(labels, logits, **settings))
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("bad", [{"gamma": -1}, {"dice_share": 1.5}, {"smooth": 0}])
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="Received"):
        FocalDice(**bad)


def test_label_shape_is_checked():
    with pytest.raises(ValueError, match="Expected labels of shape"):
        focal_dice_loss(np.zeros((2, 8, 8, 5)), np.zeros((2, 8, 8, 3), "float32"))
