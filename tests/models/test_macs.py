import keras
import pytest
from keras import layers

from tfkd.models import count_macs


def model_of(*parts: layers.Layer, shape=(8, 6, 4)) -> keras.Model:
    inputs = x = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(5, 3, padding="same"), 48 * 9 * 4 * 5),
        (layers.Conv2D(5, 3), 6 * 4 * 9 * 4 * 5),
        (layers.Conv2D(5, (3, 1), strides=2, padding="same"), 4 * 3 * 3 * 4 * 5),
        (layers.Conv2D(6, 3, dilation_rate=2, padding="same"), 48 * 9 * 4 * 6),
        (layers.Conv2D(6, 3, groups=2, padding="same"), 48 * 9 * 2 * 6),
        (layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), 48 * 9 * 4 * 2),
        (layers.SeparableConv2D(5, 3, strides=2, padding="same"), 12 * (9 * 4 + 4 * 5)),
        # Each number of the input meets the whole kernel.
        (layers.Conv2DTranspose(5, 4, strides=2, padding="same"), 48 * 16 * 4 * 5),
        (layers.Dense(5), 48 * 4 * 5),
        (layers.BatchNormalization(), 0),
        (layers.PReLU(shared_axes=(1, 2)), 0),
        (layers.UpSampling2D(2, interpolation="bilinear"), 0),
        (layers.GlobalAveragePooling2D(), 0),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else None,
)
def test_one_layer_by_hand(layer, expected):
    assert count_macs(model_of(layer)) == expected


def test_dense_on_a_vector():
    assert count_macs(model_of(layers.Flatten(), layers.Dense(3))) == 8 * 6 * 4 * 3


def test_nested_and_shared_layers_count_for_each_use():
    shared = layers.Conv2D(4, 1, name="shared")  # 48 * 16
    inner = model_of(shared, layers.Conv2D(4, 3, padding="same"))  # 48 * (16 + 144)
    head = keras.Sequential([layers.Conv2D(2, 1), layers.ReLU()])  # 48 * 8
    inputs = keras.Input((8, 6, 4))
    x = inner(inner(shared(inputs)))
    model = keras.Model(inputs, head(layers.Add()([x, x])))
    assert count_macs(model) == 48 * (16 + 2 * 160 + 8)
    assert shared.compute_output_shape((1, 2, 2, 4)) == (1, 2, 2, 4)  # left as it was


def test_sequential():
    model = keras.Sequential([keras.Input((8, 6, 4)), layers.Conv2D(2, 1)])
    assert count_macs(model) == 48 * 8
    with pytest.raises(ValueError, match="a built Sequential"):
        count_macs(keras.Sequential([layers.Conv2D(2, 1)]))


def test_another_size_than_built_for():
    model = model_of(layers.Conv2D(2, 1))
    assert count_macs(model, (16, 12, 4)) == 4 * count_macs(model)
    with pytest.raises(ValueError, match=r"it was built for \(8, 6, 4\). Received \(16, 12, 3\)"):
        count_macs(model, (16, 12, 3))
    flat = model_of(layers.Reshape((4, 12, 4)), layers.Conv2D(2, 1))
    with pytest.raises(ValueError, match=r"that 'functional.*' can take.*\(16, 12, 4\)"):
        count_macs(flat, (16, 12, 4))


def test_open_sizes():
    model = model_of(layers.Conv2D(2, 1), shape=(None, None, 4))
    with pytest.raises(ValueError, match=r"\(None, None, 4\); give input_shape"):
        count_macs(model)
    assert count_macs(model, (8, 6, 4)) == 48 * 8


def test_unknown_layer_with_weights_is_named():
    class Scale(layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],))

        def call(self, x):
            return x * self.scale

    with pytest.raises(ValueError, match=r"'mine' of type Scale.*weights of its own"):
        count_macs(model_of(layers.Conv2D(2, 1), Scale(name="mine")))


def test_several_inputs():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    with pytest.raises(ValueError, match=r"one input.*has 2"):
        count_macs(keras.Model(inputs, layers.Add()(inputs)))


def test_a_foreign_network():
    model = keras.applications.MobileNetV2((224, 224, 3), weights=None)
    assert count_macs(model) == pytest.approx(300e6, rel=0.01)  # table 4 of arXiv 1801.04381
