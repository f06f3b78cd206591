"""What every training is compiled with."""

from types import SimpleNamespace
from typing import Any, cast

import keras
import numpy as np

from tfkd.distillation import Distiller
from tfkd.records import CTRecords
from tfkd.training import compile_for_training
from tfkd.volumes import REFERENCE, WHOLE_VOLUME, Protocol


def compiled(protocol: Protocol, classes: int, **loss: Any) -> Distiller:
    image = keras.Input((8, 8, 1))
    student = keras.Model(image, keras.layers.Conv2D(classes, 1, name="logits")(image))
    data: Any = SimpleNamespace(
        steps_per_epoch=5, num_classes=classes, manifest=SimpleNamespace(protocol=protocol)
    )
    distiller = Distiller(None, student)
    compile_for_training(distiller, cast("CTRecords", data), 2, 1e-3, **loss)
    return distiller


def test_the_loss_is_that_of_the_settings() -> None:
    loss = {"gamma": 0.0, "dice_share": 0.8, "dice_squares": True}
    config = compiled(WHOLE_VOLUME, 3, **loss).loss.get_config()
    assert {name: config[name] for name in loss} == loss


def test_validation_counts_as_the_protocol_does() -> None:
    """The best epoch is that of the score, with the protocol's threshold."""
    distiller = compiled(REFERENCE, 2)
    x, y = np.zeros((1, 8, 8, 1), "float32"), np.ones((1, 8, 8), "int32")
    head = distiller.student.get_layer("logits")
    head.bias.assign(np.log([0.55, 0.45]))
    assert distiller.evaluate(x, y, verbose=0, return_dict=True)["slice_dice"] == 1.0
    head.bias.assign(np.log([0.65, 0.35]))
    assert distiller.evaluate(x, y, verbose=0, return_dict=True)["slice_dice"] == 0.0
