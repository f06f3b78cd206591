"""Only 255 says that a pixel has no label; any other label of no class is refused."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.losses import FocalDice
from tfkd.losses.labels import check_labels, labels_are_checked, one_hot_labels
from tfkd.losses.prediction_map import prediction_map_loss
from tfkd.metrics import SliceDice

LOGITS = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")


def labels_with(wrong, dtype="int32"):
    labels = np.zeros((2, 4, 4), dtype)
    labels[:, 2:] = 1
    labels[1, 0, 0] = wrong
    return labels


USES = {
    "one_hot": lambda y: one_hot_labels(y, 2),
    "focal_dice": lambda y: FocalDice()(y, LOGITS),
    "slice_dice": lambda y: SliceDice(2)(y, LOGITS),
    "prediction_map": lambda y: prediction_map_loss(LOGITS, LOGITS, y, balanced=True),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("wrong", [2, -1, 254, 256, 65535, -(2**31)])
def test_refused_where_it_can_be_seen(use, wrong):
    array = labels_with(wrong)
    for labels in (array, tf.constant(array), array[..., None]):
        with pytest.raises(ValueError, match=rf"labels 0 to 1.* or 255 .*the label {wrong}\."):
            use(labels)
    use(labels_with(255))


def test_of_any_type():
    for dtype, wrong in (
        ("uint8", 2),
        ("int64", 2**40),
        ("float32", np.nan),
        ("float64", -0.5),
        ("float32", 0.99998),
    ):
        with pytest.raises(ValueError, match="Received the label"):
            check_labels(labels_with(wrong, dtype), 2)
    check_labels(labels_with(255, "uint8"), 2)
    check_labels(labels_with(True, "bool"), 2)
    check_labels(np.zeros((0, 4, 4), "uint8"), 2)


def test_one_hot_and_soft_masks_pass():
    soft = np.full((1, 4, 4, 2), -3.0)
    assert check_labels(soft, 2) is soft


def test_refused_in_a_graph():
    metric = SliceDice(2)

    @tf.function
    def loss(y):
        return FocalDice()(y, LOGITS)

    @tf.function
    def dice(y):
        metric.update_state(y, LOGITS)
        return metric.result()

    for run in (loss, dice):
        assert np.isfinite(run(tf.constant(labels_with(255))))
        for wrong, dtype in ((2, "int32"), (2**40, "int64"), (0.99998, "float32"), (2, "uint8")):
            with pytest.raises(tf.errors.InvalidArgumentError, match="labels 0 to 1"):
                run(tf.constant(labels_with(wrong, dtype)))


def test_not_a_number_where_xla_compiles_the_step():
    @tf.function(jit_compile=True)
    def both(y):
        return FocalDice()(y, LOGITS), tf.reduce_sum(one_hot_labels(y, 2))

    assert np.all(np.isfinite(both(tf.constant(labels_with(1)))))
    assert np.all(np.isnan(both(tf.constant(labels_with(2)))))


def test_the_metric_is_not_a_number_where_xla_compiles_the_step():
    metric = SliceDice(2)

    @tf.function(jit_compile=True)
    def run(y):
        metric.update_state(y, LOGITS)
        return metric.result()

    assert np.isfinite(run(tf.constant(labels_with(255))))
    assert np.isnan(run(tf.constant(labels_with(2))))


def test_a_check_is_made_once():
    with labels_are_checked():
        check_labels(labels_with(2), 2)
    with pytest.raises(ValueError, match="label 2"):
        check_labels(labels_with(2), 2)
