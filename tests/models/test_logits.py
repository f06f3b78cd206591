"""Networks that end in probabilities are told from those that give logits."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tfkd.models import STUDENTS, TEACHERS, build, check_finite_weights, check_logits
from tfkd.models.logits import functional

SHAPE = (32, 32, 1)


@keras.saving.register_keras_serializable(package="tests")
class OwnSoftmax(layers.Layer):
    def call(self, x):
        return ops.softmax(x)


@keras.saving.register_keras_serializable(package="tests")
class OwnScale(layers.Layer):
    def call(self, x):
        return 2 * x


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(3, 1)

    def call(self, x):
        return self.convolution(x)


def network(end, classes=3, **of_last):
    image = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, padding="same", activation="sigmoid", name="inner")(image)
    x = layers.Conv2D(classes, 1, name="last", **of_last)(x)
    return keras.Model(image, end(x), name="net")


def manual_softmax(x):
    powers = ops.exp(x - ops.max(x, axis=-1, keepdims=True))
    return powers / ops.sum(powers, axis=-1, keepdims=True)


def nested(x):
    inner = keras.Input(x.shape[1:])
    return keras.Model(inner, layers.Softmax()(inner), name="head")(x)


PROBABILITIES = {
    "activation of the last layer": (lambda x: x, {"activation": "softmax"}),
    "sigmoid of the last layer": (lambda x: x, {"activation": "sigmoid"}),
    "Activation": (layers.Activation("softmax"), {}),
    "Softmax": (layers.Softmax(), {}),
    "sigmoid layer": (layers.Activation("sigmoid"), {}),
    "hard sigmoid": (layers.Activation("hard_sigmoid"), {}),
    "ops.softmax": (ops.softmax, {}),
    "ops.sigmoid": (ops.sigmoid, {}),
    "by hand": (manual_softmax, {}),
    "reshaped": (lambda x: layers.Reshape((32, 32, 3))(layers.Softmax()(x)), {}),
    "enlarged": (lambda x: layers.UpSampling2D(2)(layers.Softmax()(x)), {}),
    "cast": (lambda x: layers.Activation("linear", dtype="float32")(ops.softmax(x)), {}),
    "nested": (nested, {}),
    "own layer": (lambda x: OwnSoftmax()(x), {}),
    "Lambda": (lambda x: layers.Lambda(lambda y: ops.softmax(y), output_shape=(32, 32, 3))(x), {}),
    "an ensemble": (lambda x: layers.Average()([ops.softmax(x), layers.Softmax()(2 * x)]), {}),
}

LOGITS = {
    "linear": (lambda x: x, {}),
    "log-softmax, whose softmax is the same": (layers.Activation("log_softmax"), {}),
    "relu": (lambda x: x, {"activation": "relu"}),
    "enlarged": (layers.UpSampling2D(2, interpolation="bilinear"), {}),
    "a sum": (lambda x: x + 1.0, {}),
    "scaled": (lambda x: 0.1 * x, {}),
    "own layer": (lambda x: OwnScale()(x), {}),
    "zeros": (lambda x: OwnScale()(x), {"kernel_initializer": "zeros"}),
    "gated": (lambda x: layers.Multiply()([x, layers.Activation("sigmoid")(x)]), {}),
}


@pytest.mark.parametrize(("end", "of_last"), PROBABILITIES.values(), ids=PROBABILITIES)
def test_probabilities_are_refused(end, of_last):
    with pytest.raises(ValueError, match=r"^student 'net': expected logits.*probabilities"):
        check_logits(network(end, **of_last), "student")


@pytest.mark.parametrize(("end", "of_last"), LOGITS.values(), ids=LOGITS)
def test_logits_are_taken(end, of_last):
    check_logits(network(end, **of_last))


@pytest.mark.parametrize("name", [*TEACHERS, *STUDENTS])
def test_our_networks_are_taken(name):
    check_logits(build(name, (64, 64, 1), 3, 0.05))


def test_the_advice_mends_it(tmp_path):
    """Each of the two sentences gives a model whose softmax is what the first one gave."""
    image = np.random.default_rng(0).normal(size=(1, *SHAPE)).astype("float32")
    keras.utils.set_random_seed(0)
    model = network(lambda x: x, activation="softmax")
    before = model(image)
    with pytest.raises(ValueError, match=r"get_layer\('last'\)\.activation = keras\.act"):
        check_logits(model)
    model.get_layer("last").activation = keras.activations.linear
    check_logits(model)
    np.testing.assert_allclose(ops.softmax(model(image)), before, atol=1e-6)
    model.save(tmp_path / "m.keras")
    check_logits(keras.saving.load_model(tmp_path / "m.keras"))

    model = network(layers.Softmax(name="end"))
    with pytest.raises(ValueError, match=r"keras\.Model\(model\.input, model\.get_layer\('end'"):
        check_logits(model)
    logits = keras.Model(model.input, model.get_layer("end").input)
    check_logits(logits)
    np.testing.assert_allclose(ops.softmax(logits(image)), model(image), atol=1e-6)


def test_one_channel_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 classes.*2 channels and no activation"):
        check_logits(network(lambda x: x, classes=1, activation="sigmoid"))


def test_weights_that_are_not_finite_are_named():
    model = network(lambda x: layers.BatchNormalization(name="norm")(x))
    check_finite_weights(model)
    norm = model.get_layer("norm")
    norm.moving_variance.assign(np.array([1, np.inf, 1], "float32"))
    with pytest.raises(ValueError, match=r"in norm/moving_variance, of \d"):
        check_finite_weights(model)
    model.get_layer("last").bias.assign(np.full(3, np.nan, "float32"))
    with pytest.raises(ValueError, match=r"last/bias, norm/moving_variance"):
        check_finite_weights(model)
    norm.moving_variance.assign(np.full(3, 3e38, "float32"))  # whose sum is no number
    model.get_layer("last").bias.assign(np.zeros(3, "float32"))
    check_finite_weights(model)


def test_what_is_no_functional_model():
    built = Subclass()
    built(np.zeros((1, *SHAPE), "float32"))
    for model in (built, Subclass(), keras.Sequential([layers.Conv2D(3, 1)])):
        with pytest.raises(ValueError, match=r"expected a Functional keras\.Model.*build it with"):
            functional(model)
    for model in ("student.keras", None, built.call, layers.Conv2D(3, 1)):
        with pytest.raises(TypeError, match=r"expected a Functional keras\.Model.*load_network"):
            functional(model)
    sequential = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 1)])
    assert functional(sequential) is sequential
    check_logits(sequential)
