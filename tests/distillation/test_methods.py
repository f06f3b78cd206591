import keras
import numpy as np
import pytest

from tests.distillation.networks import network, same, slices, weights_of
from tfkd.distillation import Distiller, methods
from tfkd.losses import FocalDice


def test_emkd_has_the_weights_of_the_paper():
    losses, weights = methods.emkd()
    assert [loss.name for loss in losses] == [
        "prediction_map",
        "importance_map_tap_low",
        "importance_map_tap_high",
        "region_affinity_tap_low",
        "region_affinity_tap_high",
    ]
    assert weights == [0.1, 0.9, 0.9, 0.9, 0.9]


def test_emkd_takes_variant_and_taps():
    losses, weights = methods.emkd(region_weight=0.5, variant="paper", taps=["tap_high"])
    assert weights == [0.1, 0.9, 0.5]
    assert losses[-1].variant == "paper"
    assert losses[-1].student_layer_name == "tap_high"


def test_ours_can_be_weighed_and_needs_no_features():
    losses, weights = methods.overlap_kd(prediction_weight=0.5)
    assert [loss.name for loss in losses] == ["overlap", "prediction_map"]
    assert weights == [3.0, 0.5]
    assert losses[1].temperature == 1.0
    assert not any(loss.student_layer_name for loss in losses)


PUBLISHED = {
    # preset: (weight of each loss, temperature of the first, arXiv number)
    "attention_transfer": ([1000.0, 1000.0], None, "1612.03928"),
    "cwd": ([3.0], 4.0, "2011.13256"),
    "dist": ([1.0], 1.0, "2205.10536"),
    "emkd": ([0.1, 0.9, 0.9, 0.9, 0.9], 4.0, "2108.09987"),
    "fitnets": ([100.0], None, "1412.6550"),
    "kd": ([1.0], 4.0, "1503.02531"),
    "similarity": ([3000.0], None, "1907.09682"),
    "skd": ([10.0, 10.0], 1.0, "1903.04197"),
    "overlap_kd": ([3.0, 3.0], 1.0, "1606.04797"),  # ours; of the Dice in it
    "tfkd": ([3.0, 3.0], 1.0, "1606.04797"),  # its earlier name
}


def test_every_preset_is_here():
    assert sorted(methods.__all__) == sorted(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_preset_has_the_weights_of_its_publication(name):
    weights, temperature, number = PUBLISHED[name]
    preset = getattr(methods, name)
    losses, found = preset()
    assert found == weights
    assert getattr(losses[0], "temperature", None) == temperature
    assert f"arXiv:{number}" in preset.__doc__


@pytest.mark.parametrize("name", PUBLISHED)
def test_preset_trains_a_student(name):
    """Loss finite, weights move, and the student stays as it was built."""
    x, y = slices(8)
    preset = getattr(methods, name)
    student = network(2, seed=2)
    before, layers = weights_of(student), [layer.name for layer in student.layers]
    distiller = Distiller(network(8, seed=1), student, *preset())
    distiller.compile(keras.optimizers.Adam(1e-2), loss=FocalDice())
    history = distiller.fit(x, y, batch_size=4, epochs=2, verbose=0).history
    assert all(np.isfinite(curve).all() for curve in history.values())
    assert all(value > 0 for value in (history[loss.name][0] for loss in preset()[0]))
    assert not same(before, weights_of(student))
    assert [layer.name for layer in student.layers] == layers
