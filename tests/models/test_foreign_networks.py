"""Networks that are not ours: a backbone of `keras.applications` under a decoder of the user's."""

import keras
import numpy as np
import pytest
from keras import layers

from tfkd.distillation import Distiller
from tfkd.losses import FocalDice, ImportanceMapDistillation, RegionAffinityDistillation
from tfkd.models import check_network, count_macs, fingerprint, with_taps

SHAPE, CLASSES = (64, 64, 3), 3


def segmenter(backbone: keras.Model, deep: str) -> keras.Model:
    """Logits from the layer `deep` of a backbone, at 1/8."""
    x = layers.Conv2D(CLASSES, 1)(backbone.get_layer(deep).output)
    logits = layers.UpSampling2D(8, interpolation="bilinear")(x)
    return keras.Model(backbone.input, logits, name=f"{backbone.name}_segmenter")


@pytest.fixture(scope="module")
def teacher() -> keras.Model:
    backbone = keras.applications.MobileNet(SHAPE, alpha=0.25, include_top=False, weights=None)
    return segmenter(backbone, "conv_pw_5_relu")


@pytest.fixture(scope="module")
def student() -> keras.Model:
    backbone = keras.applications.MobileNetV2(SHAPE, alpha=0.35, include_top=False, weights=None)
    return segmenter(backbone, "block_6_expand_relu")


def test_both_can_be_foreign(teacher, student):
    layer_names = {"low": ("conv1_relu", "Conv1_relu"), "high": ("conv_pw_5_relu", "block_5_add")}
    losses = [
        kind(teacher_layer_name=ours, student_layer_name=theirs, name=f"{kind.__name__}_{depth}")
        for kind in (ImportanceMapDistillation, RegionAffinityDistillation)
        for depth, (ours, theirs) in layer_names.items()
    ]
    distiller = Distiller(teacher, student, losses, [0.9] * 4)
    distiller.compile("adam", FocalDice())
    rng = np.random.default_rng(0)
    masks = rng.integers(0, CLASSES, (2, 8, 8)).repeat(8, axis=1).repeat(8, axis=2)
    images = rng.normal(masks[..., None], 0.3, (2, *SHAPE)).astype("float32")
    before = fingerprint(teacher), fingerprint(student)
    logs = distiller.train_on_batch(images, masks, return_dict=True)
    assert {loss.name for loss in losses} <= set(logs)
    assert all(np.isfinite(value) and value > 0 for value in logs.values())
    assert fingerprint(teacher) == before[0]
    assert fingerprint(student) != before[1]


def test_the_checks_for_ours_serve_for_others(student):
    check_network(student, taps=("Conv1_relu", "block_5_add"))
    with pytest.raises(ValueError, match=r"the tap 'block_1_expand_relu' at 1/8.*\(32, 32, 48\)"):
        check_network(student, taps=("Conv1_relu", "block_1_expand_relu"))
    assert count_macs(student) > 1e6


def test_a_wrong_name_lists_the_likely_layers_only(student):
    with pytest.raises(ValueError, match="Expected a layer named") as caught:
        with_taps(student, ["tap_low"])
    message = str(caught.value)
    assert "block_1_expand_relu (32, 32, 48)" in message
    assert "block_3_expand_relu (16, 16, 48)" in message
    assert "summary() shows all" in message
    assert len(message) < 500


def test_a_layer_inside_of_a_nested_backbone():
    backbone = keras.applications.MobileNetV2(SHAPE, alpha=0.35, include_top=False, weights=None)
    image = keras.Input(SHAPE)
    model = keras.Model(image, layers.Conv2D(CLASSES, 1)(backbone(image)))
    with pytest.raises(ValueError, match=r"inside of the model 'mobilenetv2_0.35_64'.*m\.output"):
        with_taps(model, ["block_5_add"])
