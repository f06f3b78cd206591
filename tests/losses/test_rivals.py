"""The rival methods' losses against their published formulas, written down once more in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from scipy.stats import pearsonr

from tests.losses.check_loss import batch, check_loss
from tfkd.losses import (
    AttentionTransfer,
    ChannelWiseDistillation,
    CorrelationDistillation,
    HintDistillation,
    PairwiseAffinityDistillation,
    SimilarityPreservingDistillation,
    attention_transfer_loss,
    channel_wise_loss,
    correlation_loss,
    hint_loss,
    importance_map_loss,
    pairwise_affinity_loss,
    similarity_preserving_loss,
)

SAME_CHANNELS = [HintDistillation(), ChannelWiseDistillation(), CorrelationDistillation()]
ANY_CHANNELS = [
    AttentionTransfer(),
    SimilarityPreservingDistillation(),
    PairwiseAffinityDistillation(nodes=4),
]


@pytest.mark.parametrize("loss", SAME_CHANNELS, ids=lambda loss: loss.name)
def test_harness_of_equal_channels(loss):
    check_loss(loss, channels=(3, 3))


@pytest.mark.parametrize("loss", ANY_CHANNELS, ids=lambda loss: loss.name)
def test_harness_of_any_channels(loss):
    check_loss(loss)


def test_attention_is_the_mean_of_the_importance_maps_difference():
    teacher, student, _ = batch()
    expected = importance_map_loss(teacher, student, power=2.0) / 256
    np.testing.assert_allclose(attention_transfer_loss(teacher, student), expected, rtol=1e-6)


def test_hint_is_the_mean_square():
    teacher, student, _ = batch(channels=(3, 3))
    expected = ((teacher - student) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(hint_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [hint_loss, channel_wise_loss])
def test_sizes_may_differ(loss):
    """A constant feature is the same at every size."""
    teacher, student = np.ones((1, 8, 8, 2), "float32"), np.ones((1, 4, 4, 2), "float32")
    np.testing.assert_allclose(loss(teacher, student), [0.0], atol=1e-5)


def test_adapters_only_where_channels_differ():
    assert HintDistillation().adapter(8, 8).filters == 8
    assert ChannelWiseDistillation("tap_high").adapter(8, 8) is None
    assert ChannelWiseDistillation("tap_high").adapter(8, 2).filters == 8
    assert AttentionTransfer().adapter(8, 2) is None


def test_channel_wise_is_a_divergence_over_positions():
    teacher, student, _ = batch(channels=(3, 3))
    t, s = (softmax(x / 4.0, axis=(1, 2)) for x in (teacher, student))
    expected = 16.0 * (t * np.log(t / s)).sum((1, 2)).mean(-1)
    np.testing.assert_allclose(channel_wise_loss(teacher, student), expected, rtol=1e-4)
    shifted = student + np.array([1.0, -2.0, 5.0], "float32")
    np.testing.assert_allclose(channel_wise_loss(teacher, shifted), expected, rtol=1e-4)


def test_similarity_of_slices():
    teacher, student, _ = batch()

    def table(features):
        rows = features.reshape(len(features), -1)
        table = rows @ rows.T
        return table / np.linalg.norm(table, axis=1, keepdims=True)

    expected = ((table(student) - table(teacher)) ** 2).sum() / len(teacher) ** 2
    values = np.asarray(similarity_preserving_loss(teacher, student))
    np.testing.assert_allclose(values.mean(), expected, rtol=1e-4)
    large = similarity_preserving_loss(1e3 * teacher, student)
    np.testing.assert_allclose(large, values, rtol=1e-4)


def test_one_slice_has_nothing_to_be_similar_to():
    teacher, student, _ = batch()
    np.testing.assert_allclose(similarity_preserving_loss(teacher[:1], student[:1]), 0, atol=1e-6)


def test_affinity_of_places():
    teacher, student, _ = batch()

    def cosines(features):
        patches = features.reshape(len(features), 4, 4, 4, 4, -1).mean((2, 4))
        patches = patches.reshape(len(features), 16, -1)
        patches /= np.linalg.norm(patches, axis=-1, keepdims=True)
        return patches @ patches.transpose(0, 2, 1)

    expected = ((cosines(student) - cosines(teacher)) ** 2).mean((1, 2))
    values = pairwise_affinity_loss(teacher, student, nodes=4)
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_affinity_of_other_sizes():
    teacher = np.random.default_rng(0).normal(size=(1, 12, 12, 3)).astype("float32")
    doubled = teacher.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(pairwise_affinity_loss(teacher, doubled, nodes=12), 0, atol=1e-6)
    # Patches may split pixels: a prime size is compared as finely as any other.
    prime = np.random.default_rng(1).normal(size=(2, 1, 31, 31, 3)).astype("float32")
    assert np.all(np.asarray(pairwise_affinity_loss(*prime)) > 1e-3)


def test_correlation_is_pearsons():
    teacher, student, _ = batch(channels=(3, 3))
    t, s = softmax(teacher, axis=-1), softmax(student, axis=-1)
    for n, value in enumerate(np.asarray(correlation_loss(teacher, student))):
        pixels = zip(t[n].reshape(-1, 3), s[n].reshape(-1, 3), strict=True)
        inter = 1 - np.mean([pearsonr(a, b)[0] for a, b in pixels])
        classes = zip(t[n].reshape(-1, 3).T, s[n].reshape(-1, 3).T, strict=True)
        intra = 1 - np.mean([pearsonr(a, b)[0] for a, b in classes])
        np.testing.assert_allclose(value, inter + intra, rtol=1e-3)


@pytest.mark.parametrize("loss", [ChannelWiseDistillation, CorrelationDistillation])
def test_temperature_is_checked(loss):
    with pytest.raises(ValueError, match="temperature > 0"):
        loss(temperature=0.0)


def test_nodes_are_checked():
    with pytest.raises(ValueError, match="nodes >= 2"):
        PairwiseAffinityDistillation(nodes=1)


def test_pixels_and_classes_without_contrast_do_not_lead():
    """One pixel of equal logits has no direction; its gradient must not be that of all others."""
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 1, 32, 32, 3)).astype("float32")
    tied = student.copy()
    tied[0, 5, 5] = 0.7

    def largest(logits):
        logits = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_mean(correlation_loss(teacher, logits))
        return np.abs(tape.gradient(loss, logits)).max()

    assert largest(tied) < 20 * largest(student)


def test_correlation_of_two_classes_is_that_within_them():
    teacher, student, _ = batch(channels=(2, 2))
    both = correlation_loss(teacher, student)
    np.testing.assert_allclose(both, correlation_loss(teacher, student, inter_weight=0.0))


def test_adapters_compute_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layers = [HintDistillation().adapter(8, 2), ChannelWiseDistillation("a").adapter(8, 2)]
    finally:
        keras.config.set_dtype_policy("float32")
    assert [layer.compute_dtype for layer in layers] == ["float32"] * 2
