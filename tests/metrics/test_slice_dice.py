"""The Keras metric against the NumPy counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.metrics import SliceDice, confusion_counts, dice_from_counts


def logits_of(labels: np.ndarray, num_classes: int) -> np.ndarray:
    return 7 * np.eye(num_classes, dtype=np.float32)[labels]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (6, 5, 7)).astype(np.int32)
    guess = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 4, truth.shape))
    return truth, guess


def expected(truth, guess, num_classes=4):
    tp, fp, fn = confusion_counts(truth, guess, num_classes)[1:].T
    return np.nanmean(dice_from_counts(tp, fp, fn))


def test_equals_pooled_counts_whatever_the_batch_size(batch):
    truth, guess = batch
    for size in (1, 4, 6):
        metric = SliceDice(4)
        for start in range(0, 6, size):
            part = slice(start, start + size)
            metric.update_state(truth[part], logits_of(guess[part], 4))
        assert float(metric.result()) == pytest.approx(expected(truth, guess), abs=1e-6)


def test_docstring_example():
    labels = np.array([[[0, 1], [1, 1]]])
    logits = np.array([[[[9, 0], [0, 9]], [[0, 9], [9, 0]]]], "float32")
    assert float(SliceDice(2)(labels, logits)) == pytest.approx(0.8)


def test_empty_slices_and_absent_classes():
    zeros = np.zeros((1, 4, 4), np.int32)
    metric = SliceDice(3)
    metric.update_state(zeros, logits_of(zeros, 3))
    assert np.isnan(float(metric.result()))
    ones = zeros + 1
    metric.update_state(ones, logits_of(ones, 3))  # class 2 is in neither: left out
    assert float(metric.result()) == 1
    metric.update_state(zeros, logits_of(zeros + 2, 3))  # false alarm: class 2 now scores 0
    assert float(metric.result()) == 0.5
    metric.reset_state()
    metric.update_state(ones, logits_of(zeros, 3))  # miss
    assert float(metric.result()) == 0


def test_threshold_is_a_probability():
    """Foreground at 0.45 counts above a threshold of 0.4, and not as the highest class."""
    probability = np.array([[[0.45, 0.35], [0.9, 0.1]]])
    logits = np.log(np.stack([1 - probability, probability], axis=-1)).astype("float32") + 3.0
    labels = np.array([[[1, 0], [1, 0]]])
    assert float(SliceDice(2, threshold=0.4)(labels, logits)) == 1.0
    assert float(SliceDice(2)(labels, logits)) == pytest.approx(2 / 3)
    metric = SliceDice.from_config(SliceDice(2, threshold=0.3).get_config())
    assert float(metric(labels, logits)) == pytest.approx(4 / 5)
    for classes, threshold in ((3, 0.4), (2, 0.0), (2, 1.0)):
        with pytest.raises(ValueError, match=r"threshold in \(0, 1\), for two classes"):
            SliceDice(classes, threshold=threshold)


def test_sample_weight(batch):
    truth, guess = batch
    keep = np.array([1, 0, 1, 1, 0, 0], np.float32)
    pixels = np.broadcast_to(keep[:, None, None], truth.shape)
    for weights in (keep, keep[:, None], pixels, pixels[..., None]):
        metric = SliceDice(4)
        metric.update_state(truth, logits_of(guess, 4), sample_weight=weights)
        kept = keep.astype(bool)
        assert float(metric.result()) == pytest.approx(expected(truth[kept], guess[kept]), abs=1e-6)


def test_another_number_of_classes_is_refused(batch):
    truth, guess = batch
    with pytest.raises(ValueError, match=r"\(N, H, W, 3\)"):
        SliceDice(3).update_state(truth, logits_of(guess, 4))


def test_counts_of_half_precision_stay_exact():
    """4096 ones added one by one in float16 would stop at 2048."""
    ones = np.ones((1, 64, 64), np.int32)
    metric = SliceDice(2, dtype="float16")
    metric.update_state(ones, logits_of(ones, 2))
    assert float(metric.labelled[1]) == 4096


def test_labels_with_a_channel_axis(batch):
    truth, guess = batch
    value = SliceDice(4)(truth[..., None], logits_of(guess, 4))
    assert float(value) == pytest.approx(expected(truth, guess), abs=1e-6)


def test_pixels_without_label_count_for_nothing(batch):
    truth, guess = batch
    ignored = np.random.default_rng(1).random(truth.shape) < 0.4
    ignored[2] = True
    value = expected(truth[~ignored], guess[~ignored])
    one_hot = np.eye(4)[truth] * ~ignored[..., None]
    for labels in (np.where(ignored, 255, truth), one_hot):
        assert float(SliceDice(4)(labels, logits_of(guess, 4))) == pytest.approx(value, abs=1e-6)
    metric = SliceDice(4)
    metric.update_state(np.full_like(truth, 255), logits_of(guess, 4))
    assert np.isnan(float(metric.result()))


def test_in_fit_and_compiled(batch):
    truth, guess = batch
    model = keras.Sequential([keras.Input((5, 7, 4)), keras.layers.Activation("linear")])
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[SliceDice(4)],
        jit_compile=True,
    )
    logs = model.evaluate(logits_of(guess, 4), truth, batch_size=3, return_dict=True, verbose=0)
    assert logs["slice_dice"] == pytest.approx(expected(truth, guess), abs=1e-6)


def test_replicas_add_their_counts(batch):
    truth, guess = batch
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        metric = SliceDice(4)
    strategy.run(metric.update_state, args=(tf.constant(truth), tf.constant(logits_of(guess, 4))))
    assert float(metric.result()) == pytest.approx(expected(truth, guess), abs=1e-6)


def test_config_round_trip():
    metric = SliceDice(3, name="dice")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert isinstance(again, SliceDice)
    assert (again.num_classes, again.name) == (3, "dice")


def test_too_few_classes():
    with pytest.raises(ValueError, match="num_classes=1"):
        SliceDice(1)
