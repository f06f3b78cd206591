"""The best epoch's student is kept, and a training without progress ends."""

import math
from typing import Any

import keras
import numpy as np
import pytest

from tests.callbacks.training import Data, check_same_weights, make_model, run
from tfkd.callbacks import BestStudent

NAN = math.nan


class Fake:
    """As much of a compiled model as the callback asks for."""

    def __init__(self) -> None:
        self.optimizer = None
        self.stop_training = False


@pytest.fixture
def written(monkeypatch) -> list[Any]:
    """Names of the files that would have been written."""
    paths: list[Any] = []
    monkeypatch.setattr(
        "tfkd.callbacks.best_student.save_network", lambda network, path: paths.append(path)
    )
    return paths


def train(callback: BestStudent, values: list[float], first: int = 0) -> list[int]:
    """Epochs in which it kept the student; ends where it stops the training."""
    callback.set_model(Fake())
    kept = []
    for epoch, value in enumerate(values, first):
        callback.on_epoch_end(epoch, {"loss": 1.0, "val_slice_dice": value})
        if callback.best_epoch == epoch:
            kept.append(epoch)
        if callback.model.stop_training:
            return [*kept, -1]
    return kept


@pytest.mark.parametrize(
    ("values", "mode", "patience", "kept"),
    [
        ([0.1, 0.3, 0.2, 0.3, 0.4], "max", None, [0, 1, 4]),
        ([0.1, 0.3, 0.2, 0.3, 0.4], "min", None, [0]),
        ([NAN, 0.1, NAN, 0.2], "max", None, [1, 3]),
        ([0.1, 0.3, 0.2, 0.3, 0.4], "max", 2, [0, 1, -1]),
        ([0.1, 0.3, 0.2, 0.4], "max", 2, [0, 1, 3]),
        ([NAN, NAN, NAN], "max", 2, [-1]),
    ],
)
def test_which_epochs_are_kept(tmp_path, written, values, mode, patience, kept):
    callback = BestStudent(tmp_path, None, mode=mode, patience=patience)
    assert train(callback, values) == kept
    assert written == [tmp_path / f"best.next-{epoch}.keras" for epoch in kept if epoch >= 0]


@pytest.mark.parametrize("done", range(5))
def test_a_resumed_run_decides_as_the_uninterrupted_one(tmp_path, written, done):
    values = [0.1, 0.3, NAN, 0.2, 0.25, 0.9]
    whole = BestStudent(tmp_path, None, patience=3)
    resumed = BestStudent(tmp_path, None, patience=3)
    kept = train(whole, values)
    resumed.on_resume([{"val_slice_dice": value} for value in values[:done]])
    assert train(resumed, values[done:], done) == [epoch for epoch in kept if not 0 <= epoch < done]
    assert (resumed.best_epoch, resumed.best_value) == (whole.best_epoch, whole.best_value)


@pytest.mark.parametrize(
    ("values", "left"),
    [([], {}), ([0.1], {"best.keras": "0"}), ([0.1, 0.2], {"best.keras": "1"})],
)
def test_a_kill_leaves_the_best_of_the_epochs_that_the_checkpoint_has(tmp_path, values, left):
    (tmp_path / "best.keras").write_text("0")
    (tmp_path / "best.next-1.keras").write_text("1")
    BestStudent(tmp_path, None).on_resume([{"val_slice_dice": value} for value in values])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == left


def test_the_file_is_the_network_that_was_validated(tmp_path):
    model = make_model(ema=True)
    best = BestStudent(tmp_path, model)
    history = run(tmp_path, model, best)
    kept = keras.saving.load_model(tmp_path / "best.keras", compile=False)
    assert best.best_value == max(history["val_slice_dice"])
    kept.compile(loss=model.loss, metrics=model._compile_metrics._user_metrics)
    scores = kept.evaluate(Data().validation, verbose=0, return_dict=True)
    assert scores["slice_dice"] == pytest.approx(best.best_value, rel=1e-6)
    assert scores["loss"] == pytest.approx(history["val_loss"][best.best_epoch], rel=1e-5)


def test_the_last_epoch_as_best_is_the_last_model(tmp_path):
    model = make_model(ema=True)
    run(tmp_path, model, BestStudent(tmp_path, model, monitor="loss", mode="min"), epochs=1)
    kept = keras.saving.load_model(tmp_path / "best.keras", compile=False)
    check_same_weights(kept, model)


def test_a_network_of_mixed_precision_is_kept_in_float32(tmp_path):
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Conv2D(2, 1, dtype="mixed_float16")(image))
    callback = BestStudent(tmp_path, model)
    callback.set_model(Fake())
    callback.on_epoch_end(0, {"val_slice_dice": 0.5})
    assert not callback.path.exists()
    callback.on_train_end()
    kept = keras.saving.load_model(callback.path)
    assert {layer.compute_dtype for layer in kept.layers} == {"float32"}
    np.testing.assert_array_equal(kept.get_weights()[0], model.get_weights()[0])


def test_without_validation_nothing_is_kept(tmp_path, written):
    callback = BestStudent(tmp_path, None)
    callback.set_model(Fake())
    callback.on_epoch_end(0, {"loss": 1.0, "slice_dice": 0.5})
    assert not written
    assert callback.best_epoch is None


def test_a_value_that_is_not_there_is_named(tmp_path):
    callback = BestStudent(tmp_path, None, monitor="val_slice_dise")
    with pytest.raises(ValueError, match=r"monitor='val_slice_dise'.*val_loss, val_slice_dice"):
        callback.on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0, "val_slice_dice": 0.5})
    with pytest.raises(ValueError, match="patience=0"):
        BestStudent(tmp_path, None, patience=0)
