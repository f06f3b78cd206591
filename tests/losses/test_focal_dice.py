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


def test_pixels_outside_every_class_are_ignored(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    ignored = labels.copy()
    ignored[:, :, 4:] = -1
    weight = (ignored >= 0).astype("float32")
    np.testing.assert_allclose(
        keras.ops.mean(focal_dice_loss(ignored, logits, dice_share=0.0)),
        keras.ops.mean(focal_dice_loss(labels, logits, weight, dice_share=0.0)),
        rtol=1e-5,
    )
    changed = logits.copy()
    changed[:, :, 4:] += 3 * np.arange(3)
    np.testing.assert_allclose(
        focal_dice_loss(ignored, changed), focal_dice_loss(ignored, logits), rtol=1e-5
    )


def test_gradient_is_finite_where_the_network_is_certain(labels):
    logits = tf.constant(one_hot_logits(labels, 3, 200.0))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = FocalDice(gamma=0.5)(labels, logits)
    assert np.all(np.isfinite(tape.gradient(loss, logits)))


def test_class_is_the_mean_and_round_trips(labels):
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    loss = FocalDice(gamma=1.5, dice_share=0.3, smooth=2.0)
    expected = np.mean(focal_dice_loss(labels, logits, gamma=1.5, dice_share=0.3, smooth=2.0))
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
