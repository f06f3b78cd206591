"""What goes into a file in a student's stead, and what goes into it as it is."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.export.quantization.blocks import BLOCKS, images, network
from tfkd.export.quantization.edge_layers import DepthToSpace, PReLUDifference
from tfkd.export.quantization.file_form import file_form
from tfkd.inference import QUANTIZATIONS


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("name", ["conv_bn_relu6", "overlapping", "norm_alone", "geometry"])
def test_nothing_slow_stays_as_it_is(name, quantization):
    model = network(BLOCKS[name])
    assert file_form(model, quantization) is model


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize(("name", "kind"), [("subpixel", DepthToSpace), ("prelu", PReLUDifference)])
def test_slow_layers_are_replaced(name, kind, quantization):
    model, x = network(BLOCKS[name]), images()
    form = file_form(model, quantization)
    if name == "prelu" and quantization not in ("int8", "int16x8"):
        assert form is model
        return
    assert kind in [type(layer) for layer in form.layers]
    np.testing.assert_allclose(form(x), model(x, training=False), atol=1e-5)
    assert form.name == model.name


def test_what_cannot_be_rewritten_stays():
    image = keras.Input((8, 8, 4))
    act = layers.PReLU()  # a slope for each pixel
    shared = keras.Model(image, act(act(image)))
    assert file_form(shared, "int8") is shared
    single = keras.Model(image, layers.PReLU()(image))
    assert file_form(single, "int8") is single
