import keras
import numpy as np
import pytest
from keras import layers

from tfkd.models import ENet, fingerprint


def small(dtype: str = "float32", units: int = 2) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    x = layers.Dense(units, dtype=dtype)(inputs)
    return keras.Model(inputs, layers.BatchNormalization(dtype=dtype)(layers.Dropout(0.5)(x)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "mixed_bfloat16"])
def test_equal_weights_under_other_names(dtype):
    first, second = small(dtype), small(dtype)
    assert first.weights[0].path != second.weights[0].path
    assert fingerprint(first) == fingerprint(second)
    assert len(fingerprint(first)) == 64


def test_every_weight_counts():
    model = small()
    seen = {fingerprint(model)}
    for weight in model.weights:
        value = np.array(weight)
        value.flat[-1] = np.nextafter(value.flat[-1], np.inf, dtype="float32")
        weight.assign(value)
        seen.add(fingerprint(model))
    assert len(seen) == len(model.weights) + 1


def test_type_and_shape_count():
    prints = {fingerprint(small(dtype)) for dtype in ("float32", "float16", "bfloat16")}
    for shape in ((4, 1), (1, 4), (2, 2)):
        layer = layers.Dense(shape[1], use_bias=False, kernel_initializer="zeros")
        prints.add(fingerprint(keras.Sequential([keras.Input((shape[0],)), layer])))
    assert len(prints) == 6


def test_training_mode_and_seeds_do_not_count():
    model = small()
    before = fingerprint(model)
    keras.Model(model.input, model.layers[2].output)(np.ones((2, 3)), training=True)
    assert fingerprint(model) == before


def test_a_saved_network_keeps_it(tmp_path):
    model = ENet((32, 32, 1), width=0.1)
    model.save(tmp_path / "model.keras")
    assert fingerprint(keras.saving.load_model(tmp_path / "model.keras")) == fingerprint(model)


def test_a_model_that_is_not_built():
    with pytest.raises(ValueError, match=r"is built.*'draft'.*call it"):
        fingerprint(keras.Sequential([layers.Dense(1)], name="draft"))
