"""Every function that takes a network says the same of one that is no Functional model."""

import keras
import numpy as np
import pytest
from keras import layers

import tfkd

SPEC = tfkd.PreprocessSpec(size=(32, 32))


class Subclass(keras.Model):
    """As in many a tutorial."""

    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(3, 1)

    def call(self, x):
        return self.convolution(x)


def built() -> keras.Model:
    model = Subclass()
    model(np.zeros((1, 32, 32, 1), "float32"))
    return model


def with_end(activation: str | None = None, classes: int = 3) -> keras.Model:
    image = keras.Input((32, 32, 1))
    return keras.Model(image, layers.Conv2D(classes, 1, activation=activation, name="end")(image))


def not_finite() -> keras.Model:
    model = with_end()
    model.get_layer("end").bias.assign(np.full(3, np.nan, "float32"))
    return model


TAKES_A_STUDENT = {
    "to_litert": lambda model, path: tfkd.export.to_litert(model, path / "s.tflite"),
    "preflight": lambda model, path: tfkd.export.preflight(model),
    "quantization_aware": lambda model, path: tfkd.export.quantization_aware(model),
    "keras_predictor": lambda model, path: tfkd.export.keras_predictor(
        model, SPEC, ("background", "liver", "tumour")
    ),
    "check_network": lambda model, path: tfkd.models.check_network(model),
    "Distiller, student": lambda model, path: tfkd.Distiller(with_end(), model),
    "Distiller, teacher": lambda model, path: tfkd.Distiller(model, with_end()),
    "Distiller, teachers": lambda model, path: tfkd.Distiller(
        tfkd.distillation.Teachers([with_end(), model]), with_end()
    ),
}
TAKES_A_GRAPH = {
    "save_network": lambda model, path: tfkd.models.save_network(model, path / "m.keras"),
    "with_taps": lambda model, path: tfkd.models.with_taps(model, ()),
    "count_macs": lambda model, path: tfkd.models.count_macs(model),
}


@pytest.mark.parametrize("call", [*TAKES_A_STUDENT.values(), *TAKES_A_GRAPH.values()])
@pytest.mark.parametrize("make", [built, Subclass, lambda: keras.Sequential([layers.Conv2D(3, 1)])])
def test_a_subclass_or_unbuilt_model(call, make, tmp_path):
    with pytest.raises(ValueError, match=r"keras\.Model.*build it with keras\.Model\(inputs, out"):
        call(make(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", TAKES_A_STUDENT.values(), ids=TAKES_A_STUDENT)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: with_end("softmax"), r"expected logits.*softmax of Conv2D 'end'"),
        (lambda: with_end("sigmoid", 1), r"expected at least 2 classes"),
        (not_finite, r"expected finite weights.*end/bias"),
    ],
    ids=["softmax", "one channel", "not finite"],
)
def test_what_is_refused(call, make, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        call(make(), tmp_path)
    assert list(tmp_path.iterdir()) == []
