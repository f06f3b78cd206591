"""Networks to train."""

import keras

from tfkd.training import parameter_count


def test_parameters_are_counted_without_running_statistics() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    assert model.count_params() == 16
    assert parameter_count(model) == 8
