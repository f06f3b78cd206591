"""`check_network` on networks that break a promise, one each."""

import keras
import numpy as np
import pytest
from keras import layers

from tfkd.models import check_network, fingerprint


def network(
    input_shape=(16, 16, 1),
    num_classes=3,
    width=1.0,
    *,
    strides=(2, 4),
    interpolation="bilinear",
    gain=0.01,
    channels=8,
    dtype="float32",
):
    """The least that keeps every promise, and an argument to break each."""
    image = x = keras.Input(input_shape)
    for name, stride in zip(("tap_low", "tap_high"), strides, strict=True):
        x = layers.Conv2D(int(channels * width), 3, strides=stride, padding="same", name=name)(x)
    init = keras.initializers.RandomNormal(stddev=gain)
    x = layers.Conv2D(num_classes, 1, kernel_initializer=init, dtype=dtype)(x)
    size = strides[0] * strides[1]
    sizes = [size * pixels for pixels in x.shape[1:3]]
    x = layers.Resizing(*sizes, interpolation=interpolation, dtype=dtype)(x)
    return keras.Model(image, x, name="least")


def check(build, **options):
    shapes = ((16, 16, 1), (8, 24, 2))
    check_network(build, **{"input_shapes": shapes, "widths": (0.5, 1.0), **options})


def broken(**options):
    return lambda *arguments: network(*arguments, **options)


def test_the_least():
    check(network)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (broken(strides=(4, 2)), r"tap 'tap_low' at 1/2 .*\(2, 6, 4\)"),
        (broken(strides=(2, 2)), r"tap 'tap_high' at 1/8 .*\(2, 6, 4\)"),
        (broken(gain=100.0), r"deviation of at most 2\.0"),
        (broken(gain=np.nan), r"deviation of at most 2\.0.*nan"),
        (broken(interpolation="nearest"), r"gradient that XLA can compile.*ResizeNearest"),
        (broken(dtype="float16"), r"float32 logits.*Received float16"),
        (lambda shape, classes, width: network(shape, classes), r"more weights at width 1\.0"),
        (lambda shape, classes, width: network(shape, 2, width), r"classes\) \(8, 24, 3\)"),
    ],
)
def test_broken_promise(build, message):
    with pytest.raises(ValueError, match=rf"(?s)^least: expected .*{message}"):
        check(build)


@keras.saving.register_keras_serializable(package="tests")
class Stopped(layers.Layer):
    def call(self, x):
        return keras.ops.stop_gradient(x)


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(layers.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {"name": self.name}


def test_gradient_that_does_not_arrive():
    whole = network()
    side = Stopped()(layers.Conv2D(3, 1, name="side")(whole.input))
    with pytest.raises(ValueError, match=r"None reaches side/kernel, side/bias"):
        check_network(keras.Model(whole.input, layers.Add()([whole.output, side])))


def test_layer_that_forgets_its_configuration():
    whole = network()
    with pytest.raises(ValueError, match="after saving and loading"):
        check_network(keras.Model(whole.input, Forgetful(3.0)(whole.output)))


def test_open_sizes():
    image = keras.Input((None, None, 1))
    low, high = (layers.Conv2D(2, 1, name=name)(image) for name in ("low", "high"))
    with pytest.raises(ValueError, match=r"one input .* of fixed size.*None"):
        check_network(keras.Model(image, layers.Concatenate()([low, high])), taps=("low", "high"))


def test_one_tap():
    with pytest.raises(ValueError, match="two taps"):
        check_network(network(), taps=("tap_low",))


def test_machine_code_runs_and_the_network_stays_as_it_was():
    model = network()
    before = fingerprint(model)
    check_network(model, run_xla=True)
    assert fingerprint(model) == before
