"""What every training is compiled with."""

from types import SimpleNamespace
from typing import Any, cast

import keras

from tfkd.distillation import Distiller
from tfkd.records import CTRecords
from tfkd.training import compile_for_training


def test_the_loss_is_that_of_the_settings() -> None:
    image = keras.Input((8, 8, 1))
    student = keras.Model(image, keras.layers.Conv2D(3, 1, name="logits")(image))
    protocol = SimpleNamespace(last_rate=1e-3)
    data: Any = SimpleNamespace(
        steps_per_epoch=5, num_classes=3, manifest=SimpleNamespace(protocol=protocol)
    )
    distiller = Distiller(None, student)
    loss = {"gamma": 0.0, "dice_share": 0.8, "dice_squares": True}
    compile_for_training(distiller, cast("CTRecords", data), 2, 1e-3, **loss)
    config = distiller.loss.get_config()
    assert {name: config[name] for name in loss} == loss
