from collections.abc import Iterator

import keras
import numpy as np
import pytest
from keras import layers

from tests.distillation.networks import network
from tests.models.network_checks import batch_norms, slices
from tfkd.models import ENet, ESPNet, MobileNetV2, PSPNet, RAUNet, UNet, as_float32, fingerprint

SHAPE, CLASSES, SMALL = (32, 32, 1), 3, 0.05


@pytest.fixture(autouse=True)
def _policy_is_restored() -> Iterator[None]:
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def built_under(policy: str, build) -> keras.Model:
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    model = build(SHAPE, CLASSES, SMALL)
    keras.config.set_dtype_policy("float32")
    rng = np.random.default_rng(0)
    for layer in batch_norms(model):  # as after a training
        layer.gamma.assign(rng.uniform(0.5, 1.0, layer.gamma.shape))
        layer.moving_variance.assign(rng.uniform(1.0, 2.0, layer.gamma.shape))
    return model


@pytest.mark.parametrize("build", [UNet, RAUNet, PSPNet, ENet, ESPNet, MobileNetV2])
def test_equals_the_network_built_in_float32(build, tmp_path):
    mixed = built_under("mixed_float16", build)
    clone = as_float32(mixed)
    expected = build(SHAPE, CLASSES, SMALL)
    expected.set_weights(mixed.get_weights())
    images = slices(2, SHAPE)
    np.testing.assert_allclose(clone(images), expected(images), rtol=1e-5, atol=1e-5)
    assert np.abs(np.array(mixed(images)) - np.array(clone(images))).max() > 1e-5
    assert clone.name == mixed.name
    assert clone.output_names == mixed.output_names
    assert [layer.name for layer in clone.layers] == [layer.name for layer in mixed.layers]
    assert {layer.dtype_policy.name for layer in clone.layers} == {"float32"}
    assert fingerprint(clone) == fingerprint(mixed)
    clone.save(tmp_path / "clone.keras")
    loaded = keras.saving.load_model(tmp_path / "clone.keras")
    np.testing.assert_array_equal(loaded(images), clone(images))
    assert as_float32(loaded) is loaded


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float64"])
def test_every_policy(policy):
    model = network(2, dtype=policy)
    clone = as_float32(model)
    assert {weight.dtype for weight in clone.weights} == {"float32"}
    for new, old in zip(clone.weights, model.weights, strict=True):
        np.testing.assert_array_equal(np.array(new), np.array(old).astype("float32"))


def test_a_float32_network_is_returned_as_it_is():
    model = network(2)
    assert as_float32(model) is model


def test_one_layer_of_another_type_is_enough():
    inputs = keras.Input((2,))
    x = layers.Dense(2, dtype="mixed_float16")(inputs)
    model = keras.Model(inputs, layers.Dense(1, dtype="float32")(x))
    assert {layer.compute_dtype for layer in as_float32(model).layers} == {"float32"}


def test_the_copy_is_apart_from_the_original():
    model = network(2, dtype="mixed_float16")
    before = fingerprint(model)
    clone = as_float32(model)
    for weight in clone.trainable_weights:
        weight.assign(weight + 1.0)
    assert fingerprint(model) == before
    assert model.get_layer("tap_high").compute_dtype == "float16"


def nested() -> keras.Model:
    inner_input = keras.Input((4, 4, 2))
    inner = keras.Model(inner_input, layers.Conv2D(3, 1)(inner_input), name="inner")
    inputs = keras.Input((4, 4, 2), name="image")
    x = keras.Sequential([layers.Conv2D(2, 1), layers.BatchNormalization()], name="head")(inputs)
    shared = layers.Dense(2, name="shared")
    x = layers.TimeDistributed(layers.Dense(2), name="wrapper")(shared(shared(x)))
    return keras.Model(inputs, [inner(x), layers.Identity(name="features")(x)])


def test_nested_wrapped_and_shared_layers():
    keras.config.set_dtype_policy("mixed_float16")
    model = nested()
    keras.config.set_dtype_policy("float32")
    clone, expected = as_float32(model), nested()
    expected.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")
    for ours, theirs in zip(clone(x), expected(x), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert clone.output_names == model.output_names
    assert {layer.dtype for layer in clone._flatten_layers()} == {"float32"}
    assert as_float32(clone) is clone


def test_custom_layers_need_no_registration():
    class Doubled(layers.Layer):
        def call(self, x):
            return 2 * x

    inputs = keras.Input((2,))
    model = keras.Model(inputs, Doubled(dtype="mixed_float16", name="doubled")(inputs))
    clone = as_float32(model)
    assert type(clone.get_layer("doubled")) is Doubled
    assert clone.get_layer("doubled").compute_dtype == "float32"


def test_sequential():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, dtype="mixed_float16")], name="s")
    clone = as_float32(model)
    assert isinstance(clone, keras.Sequential)
    assert clone.name == "s"
    assert fingerprint(clone) == fingerprint(model)


def test_frozen_layers_stay_frozen_and_a_compiled_model_is_cloned():
    model = network(2, dtype="mixed_float16")
    model.layers[2].trainable = False  # a BatchNorm
    # A loss that cannot be written to a configuration, as those in a notebook are.
    model.compile("sgd", lambda labels, logits: logits[..., 0])
    clone = as_float32(model)
    assert not clone.compiled
    assert [w.trainable for w in clone.weights] == [w.trainable for w in model.weights]


def test_a_model_without_a_graph_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"Functional keras\.Model.*Subclassed"):
        as_float32(Subclassed(dtype="mixed_float16"))


def test_a_quantised_network_is_refused():
    inputs = keras.Input((8,))
    x = layers.Dense(8, dtype="mixed_bfloat16", name="first")(inputs)
    model = keras.Model(inputs, layers.Dense(8, dtype="mixed_bfloat16", name="second")(x))
    for layer in model.layers[1:]:
        layer.quantize("int8")
    with pytest.raises(ValueError, match="quantised layers: first, second"):
        as_float32(model)


def test_batch_normalisation_for_several_replicas_is_taken_back():
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, keras.layers.BatchNormalization(synchronized=True, name="bn")(image))
    plain = as_float32(model)
    assert plain is not model
    assert not plain.get_layer("bn").synchronized
