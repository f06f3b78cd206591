"""`edge_form`: another form, the same function."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.export.quantization.blocks import BLOCKS, images, network, with_random_weights
from tfkd.bench.operators import read_operators
from tfkd.export import edge_form, keras_logits
from tfkd.export.convert import convert, float_operators
from tfkd.export.quantization.edge_layers import DepthToSpace, PReLUDifference
from tfkd.export.quantization.file_form import file_form
from tfkd.inference import LiteRTModel
from tfkd.models.zoo import build


def _kinds(model):
    return [type(layer) for layer in model.layers]


@pytest.mark.parametrize("name", ["ENet", "MobileNetV2", "RAUNet", "PSPNet"])
def test_networks(name):
    model = with_random_weights(build(name, (32, 32, 1), 3, width=0.05))
    new = edge_form(model)
    x = images(2, (32, 32, 1))
    expected = keras_logits(model, 2)(x)
    np.testing.assert_allclose(keras_logits(new, 2)(x), expected, atol=1e-4 * np.ptp(expected))
    assert not {layers.BatchNormalization, layers.PReLU} & set(_kinds(new))
    assert new.get_layer("tap_high").output.shape == model.get_layer("tap_high").output.shape
    assert new.layers[-1].name == model.layers[-1].name == "logits"
    assert (new.name, new.input.name) == (model.name, "image")


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name):
    model, x = network(BLOCKS[name]), images()
    before = model.get_weights()
    np.testing.assert_allclose(edge_form(model)(x), model(x, training=False), atol=1e-5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_is_rewritten():
    assert DepthToSpace in _kinds(edge_form(network(BLOCKS["subpixel"])))
    assert layers.Conv2DTranspose in _kinds(edge_form(network(BLOCKS["overlapping"])))
    assert PReLUDifference in _kinds(edge_form(network(BLOCKS["prelu"])))
    assert layers.PReLU in _kinds(edge_form(network(BLOCKS["prelu"]), splits_prelu=False))


@pytest.mark.parametrize("settings", [{}, {"shared_axes": (1, 2), "alpha_initializer": "ones"}])
def test_prelu_that_stays(settings):
    """One with a slope for each pixel, and one that is steeper than 1."""
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, layers.PReLU(**settings)(image))
    model.layers[-1].alpha.assign(model.layers[-1].alpha + 0.5)
    new, x = edge_form(model), images()
    assert layers.PReLU in _kinds(new)
    np.testing.assert_allclose(new(x), model(x), atol=1e-6)


def test_file_without_the_slow_operators(tmp_path):
    def block(x):
        x = layers.PReLU(shared_axes=(1, 2))(layers.BatchNormalization()(x))
        return layers.Conv2DTranspose(3, 2, strides=2)(x)

    model, x = network(block), images()
    path = tmp_path / "student.tflite"
    path.write_bytes(convert(edge_form(model), "int8", x))
    expected = np.asarray(model(x, training=False))
    error = LiteRTModel(path)(x) - expected
    assert np.sqrt(np.mean(error**2)) < 0.03 * expected.std()
    assert _operators(path) == {
        "DEPTHWISE_CONV_2D",
        "MUL",
        "ADD",
        "CONV_2D",
        "DEPTH_TO_SPACE",
    }


def _operators(path):
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    return {names[code.builtinCode] for code in model.operatorCodes}


def test_reader_in_between_keeps_the_norm():
    """A convolution that two layers read is not folded into one of them."""

    def block(x):
        x = layers.Conv2D(6, 3, padding="same")(x)
        return layers.Add()([x, layers.BatchNormalization()(x)])

    model, x = network(block), images()
    np.testing.assert_allclose(edge_form(model)(x), model(x, training=False), atol=1e-5)


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network(BLOCKS["conv_bn_relu6"])
    finally:
        keras.config.set_dtype_policy("float32")
    new = edge_form(model)
    assert {layer.compute_dtype for layer in new.layers} == {"float32"}


class _OfOnesOwn(layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return 2.0 * x if self.factor else x


def _shared(x):
    conv = layers.Conv2D(4, 1)
    return conv(conv(x))


def _nested(x):
    inner = keras.Input((8, 8, 4))
    return keras.Model(inner, layers.Conv2D(4, 1)(inner))(x)


def _skip(x):
    return x + layers.Conv2D(4, 1)(x)


class _WithoutItsArgument(_OfOnesOwn):
    def get_config(self):
        return layers.Layer.get_config(self)


@pytest.mark.parametrize(
    "block",
    [
        _shared,
        _nested,
        _skip,
        lambda x: layers.Conv2D(3, 1)(x)[..., :2],
        lambda x: layers.Conv2D(3, 1)(keras.ops.relu(x)),
        layers.Lambda(lambda x: 2 * x),
        _OfOnesOwn(object()),
        _WithoutItsArgument(2),
    ],
)
def test_students_that_stay_as_they_are(block):
    model = network(lambda x: _up(block(x)))
    assert edge_form(model) is model
    assert file_form(model, "int8") is model


def _up(x):
    return layers.Conv2DTranspose(4, 2, strides=2)(x)


def test_mixed_precision_that_cannot_be_built_anew():
    own = _WithoutItsArgument(2, dtype="mixed_float16")
    model = network(lambda x: _up(own(x)))
    assert edge_form(model) is model


@pytest.mark.parametrize(
    ("slope", "last"),
    [
        (-0.2, layers.Add),
        (0.0, layers.Add),  # as Keras starts; the int8 kernel for LeakyReLU takes no such slope
        (0.3, layers.LeakyReLU),
        (1.7, layers.LeakyReLU),
    ],
)
def test_one_slope_for_all_channels(slope, last):
    model, x = _of_one_slope(slope), images()
    new = edge_form(model)
    assert _kinds(new)[-1] is last
    assert new.layers[-1].name == model.layers[-1].name
    np.testing.assert_allclose(new(x), model(x), atol=1e-6)


@pytest.mark.parametrize("slope", [0.02, 0.3, 1.7])
@pytest.mark.parametrize("quantization", ["int8", "int16x8"])
def test_one_slope_in_a_file(tmp_path, quantization, slope):
    model, x = _of_one_slope(slope), images()
    content = convert(file_form(model, quantization), quantization, x)
    (tmp_path / "student.tflite").write_bytes(content)
    assert float_operators(content) == []
    found = read_operators(tmp_path / "student.tflite")
    assert found.counts["LEAKY_RELU"] == 1
    if quantization == "int8":
        assert not found.outside
    np.testing.assert_allclose(LiteRTModel(tmp_path / "student.tflite")(x), model(x), atol=0.05)


def _of_one_slope(slope):
    model = network(lambda x: layers.PReLU(shared_axes=(1, 2, 3))(x))
    model.layers[-1].alpha.assign([[[slope]]])
    return model


def test_names_between_are_not_those_of_the_student():
    def block(x):
        x = layers.Conv2D(4, 1, activation="relu", name="c")(x)
        x = layers.Conv2D(4, 1, name="c_relu")(x)
        x = layers.PReLU(shared_axes=(1, 2), name="c_difference")(x)
        x = layers.PReLU(shared_axes=(1, 2), name="c_difference_difference")(x)
        x = layers.Conv2DTranspose(4, 2, strides=2, activation="relu", name="up")(x)
        return layers.ReLU(name="up_relu_phases")(layers.Conv2D(4, 1, name="up_phases")(x))

    model, x = network(block), images()
    new = edge_form(model)
    assert new is not model
    assert {layer.name for layer in model.layers} <= {layer.name for layer in new.layers}
    np.testing.assert_allclose(new(x), model(x), atol=1e-5)


def test_an_unnamed_input_keeps_its_layers_name():
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, layers.Conv2D(2, 1)(image))
    assert edge_form(model).layers[0].name == model.layers[0].name


def test_sequential():
    stages = [keras.Input((8, 8, 4)), layers.Conv2D(3, 1), layers.BatchNormalization()]
    model, x = with_random_weights(keras.Sequential(stages)), images()
    new = edge_form(model)
    assert len(new.layers) == 2
    np.testing.assert_allclose(new(x), model(x, training=False), atol=1e-5)
