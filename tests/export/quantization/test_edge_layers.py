"""The layers that stand in for slow ones."""

import keras
import numpy as np
import pytest
from keras import layers

from tfkd.export.quantization.edge_layers import DepthToSpace, PReLUDifference


def test_blocks_row_by_row():
    x = np.arange(8, dtype="float32").reshape(1, 1, 1, 8)
    layer = DepthToSpace(2)
    y = np.asarray(layer(x))
    assert y.shape == layer.compute_output_shape(x.shape) == (1, 2, 2, 2)
    np.testing.assert_array_equal(y[0], [[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
    assert layer.compute_output_shape((None, None, 3, 8)) == (None, None, 6, 2)


@pytest.mark.parametrize("rounds", [False, True])
def test_input_and_difference_are_a_prelu(rounds):
    x = np.random.default_rng(0).normal(0, 1, (2, 4, 4, 3)).astype("float32")
    alpha = np.array([-0.3, 0.25, 1.0], "float32")
    prelu = layers.PReLU(shared_axes=(1, 2))
    prelu.build(x.shape)
    prelu.set_weights([alpha.reshape(1, 1, 3)])
    difference = PReLUDifference(rounds)
    difference.build(x.shape)
    difference.set_weights([alpha])
    expected = np.asarray(prelu(x))
    tolerance = 0.01 * np.abs(x).max() if rounds else 1e-6
    np.testing.assert_allclose(x + np.asarray(difference(x)), expected, atol=tolerance)


@pytest.mark.parametrize("layer", [DepthToSpace(3), PReLUDifference(True)])
def test_config(layer):
    new = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert new.get_config() == layer.get_config()
