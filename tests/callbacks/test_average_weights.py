"""The average is validated and kept; training goes on from the weights."""

from typing import Any

import keras
import numpy as np
import pytest

from tests.callbacks.training import (
    STEPS,
    Data,
    check_same_arrays,
    make_model,
)
from tfkd.callbacks import AverageWeights, averaged_weights


class Watch(keras.callbacks.Callback):
    """Keeps the weights and averages after each epoch's training and after its validation."""

    def __init__(self) -> None:
        super().__init__()
        self.trained: list[Any] = []
        self.averages: list[Any] = []
        self.validated: list[Any] = []
        self.done: list[Any] = []

    def weights(self) -> list[np.ndarray]:
        return [np.array(weight) for weight in self.model.trainable_variables]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == STEPS - 1:
            self.trained.append(self.weights())
            self.averages.append([np.array(a) for a in averages_of(self.model)])

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 0:
            self.validated.append(self.weights())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.done.append(self.weights())


def averages_of(model: keras.Model) -> list[Any]:
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return getattr(optimizer, "_model_variables_moving_average", [])


def fit(model: keras.Model, *callbacks: Any, epochs: int = 2) -> dict[str, list[float]]:
    return model.fit(
        Data().stream(),
        steps_per_epoch=STEPS,
        epochs=epochs,
        validation_data=Data().validation,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    ).history


@pytest.mark.parametrize("scaled", [False, True])
def test_validation_sees_the_average_and_training_does_not(scaled):
    model, watch = make_model(scaled=scaled), Watch()
    fit(model, AverageWeights(), watch)
    for trained, averages, validated, done in zip(
        watch.trained, watch.averages, watch.validated, watch.done, strict=True
    ):
        check_same_arrays(validated, averages)
        check_same_arrays(done, trained)
        assert any((a != b).any() for a, b in zip(trained, averages, strict=True))
    # Keras puts the average into the model at the end.
    check_same_arrays(model.trainable_variables, watch.averages[-1])


def test_it_changes_the_validation_and_nothing_else():
    with_it, without = Watch(), Watch()
    one = fit(make_model(), AverageWeights(), with_it)
    other = fit(make_model(), without)
    for first, second in zip(with_it.trained, without.trained, strict=True):
        check_same_arrays(first, second)
    assert one["loss"] == other["loss"]
    assert one["val_loss"] != other["val_loss"]


def test_the_last_validation_is_that_of_the_model_that_is_left():
    model = make_model()
    history = fit(model, AverageWeights())
    again = model.evaluate(Data().validation, verbose=0, return_dict=True)
    assert again["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-6)


def test_an_early_stop_leaves_the_average():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    model, watch = make_model(), Watch()
    fit(model, AverageWeights(), Stop(), watch, epochs=9)
    assert len(watch.averages) == 1
    check_same_arrays(model.trainable_variables, watch.averages[0])


def test_without_an_average_nothing_happens():
    model, watch = make_model(ema=False), Watch()
    fit(model, AverageWeights(), watch)
    check_same_arrays(watch.validated[0], watch.trained[0])


def test_before_the_first_step_there_is_no_average():
    model = make_model()
    model.optimizer.build(model.trainable_variables)
    before = model.get_weights()
    with averaged_weights(model):
        check_same_arrays(model.get_weights(), before)


def test_the_first_average_is_the_weights():
    model = make_model()
    x, y = next(iter(Data().stream()))
    model.train_on_batch(x, y)
    check_same_arrays(averages_of(model), model.trainable_variables)


def test_weights_are_back_after_an_interrupted_validation():
    model, callback = make_model(), AverageWeights()
    for x, y in Data().stream().take(2):
        model.train_on_batch(x, y)
    before = model.get_weights()
    callback.set_model(model)
    callback.on_test_begin()
    callback.on_train_begin()
    check_same_arrays(model.get_weights(), before)


def test_weights_are_back_after_an_error():
    model = make_model()
    for x, y in Data().stream().take(2):
        model.train_on_batch(x, y)
    before = model.get_weights()

    def fail() -> None:
        with averaged_weights(model):
            assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    check_same_arrays(model.get_weights(), before)
