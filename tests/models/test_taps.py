import keras
import numpy as np
import pytest

from tfkd.models import TAPS, ENet, with_taps


@pytest.fixture(scope="module")
def network():
    return ENet((32, 32, 1), width=0.1)


def test_logits_come_first_then_the_taps_in_order(network):
    image = np.random.default_rng(0).normal(size=(2, 32, 32, 1)).astype("float32")
    logits, high, low = with_taps(network, ["tap_high", "tap_low"])(image)
    np.testing.assert_array_equal(logits, network(image))
    assert high.shape[:3] == (2, 4, 4)
    assert low.shape[:3] == (2, 16, 16)


def test_weights_are_shared(network):
    tapped = with_taps(network)
    assert tapped.name == "enet_with_taps"
    assert all(a is b for a, b in zip(tapped.weights, network.weights, strict=True))


def test_any_layer_can_be_a_tap(network):
    _, feature = with_taps(network, ["stage2_8_add"]).output_shape
    assert feature == (None, 4, 4, 32)


def test_no_taps_leave_the_logits(network):
    outputs = with_taps(network, []).outputs
    assert [output.shape for output in outputs] == [(None, 32, 32, 2)]


def test_network_that_is_not_ours():
    image = keras.Input((16, 16, 1))
    feature = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="mine")(image)
    model = keras.Model(image, keras.layers.UpSampling2D(2)(feature), name="foreign")
    _, tapped = with_taps(model, ["mine"]).outputs
    assert tapped.shape == (None, 8, 8, 4)


def test_missing_layer_names_the_likely_ones(network):
    with pytest.raises(
        ValueError,
        match=r"'tap_lo' in the model 'enet'.*Close.*tap_low.*stage1_4_prelu \(8, 8, 16\).*all 335",
    ) as caught:
        with_taps(network, ["tap_lo"])
    assert "stem_conv" not in str(caught.value)


def test_a_string_is_not_a_list(network):
    with pytest.raises(ValueError, match=r"write \['tap_low'\]"):
        with_taps(network, "tap_low")


def test_layer_that_gives_no_feature_map():
    image = keras.Input((16, 16, 1))
    mean = keras.layers.GlobalAveragePooling2D(name="mean")(image)
    model = keras.Model(image, keras.layers.Dense(2)(mean))
    with pytest.raises(ValueError, match=r"'mean'.*\(N, h, w, c\)"):
        with_taps(model, ["mean"])


def test_several_outputs():
    image = keras.Input((16, 16, 1))
    model = keras.Model(image, [keras.layers.ReLU()(image), keras.layers.ReLU()(image)])
    with pytest.raises(ValueError, match=r"one output, the logits.*has 2"):
        with_taps(model)


def test_subclassed_model():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    for model in (Subclassed(), keras.Sequential([keras.layers.ReLU()])):
        with pytest.raises(ValueError, match="Functional"):
            with_taps(model)


def test_default_taps():
    assert TAPS == ("tap_low", "tap_high")
