"""A killed training ends as the one that was not killed, bit for bit."""

import math
import os
import signal
import threading
from typing import Any

import keras
import pytest

from tests.callbacks.training import (
    EPOCHS,
    STEPS,
    Data,
    KillAt,
    Killed,
    check_same_arrays,
    check_same_weights,
    make_model,
    run,
)
from tfkd.callbacks import BestStudent, HistoryFile, Position, RunCheckpoint, fit_resumable
from tfkd.errors import TrainingInterrupted

KINDS = {"plain": {"ema": False}, "ema and loss scale": {"ema": True, "scaled": True}}


class Calls(Data):
    """Data that remembers which streams were asked for."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "asked", [])

    def stream(self, epoch: int = 0, step: int = 0) -> Any:
        self.asked.append((epoch, step))
        return super().stream(epoch, step)


class FitCalls(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.steps.append(self.params["steps"])


@pytest.fixture(scope="module", params=KINDS)
def uninterrupted(request, tmp_path_factory):
    """(kind of model, the trained model, its history, its folder)."""
    folder = tmp_path_factory.mktemp("whole")
    model = make_model(**KINDS[request.param])
    history = run(folder, model, HistoryFile(folder / "history.csv"))
    return KINDS[request.param], model, history, folder


@pytest.mark.parametrize(
    ("kill", "left"),
    [
        ((0, 1), Position(0, 1)),
        ((1, 0), Position(1, 0)),
        ((1, 2), Position(1, 2)),
        ((2, None), Position(2, 2)),
    ],
    ids=["first epoch", "epoch's begin", "epoch's last step", "before the last epoch is saved"],
)
def test_a_killed_training_ends_as_the_uninterrupted_one(uninterrupted, tmp_path, kill, left):
    kind, whole, history, folder = uninterrupted
    csv = tmp_path / "history.csv"
    # The CSV is written before the kill at an epoch's end, and the checkpoint is not.
    with pytest.raises(Killed):
        run(tmp_path, make_model(**kind), HistoryFile(csv), KillAt(*kill))
    assert RunCheckpoint(tmp_path).position == left
    model = make_model(**kind)
    assert run(tmp_path, model, HistoryFile(csv)) == history
    check_same_weights(model, whole)
    check_same_arrays(model.optimizer.variables, whole.optimizer.variables)
    assert csv.read_text() == (folder / "history.csv").read_text()
    assert len(csv.read_text().splitlines()) == 1 + EPOCHS


def test_killed_again_and_again(uninterrupted, tmp_path):
    kind, whole, history, _ = uninterrupted
    for kill in ((0, 1), (0, 0), (1, 1), (2, None)):
        with pytest.raises(Killed):
            run(tmp_path, make_model(**kind), KillAt(*kill))
    model = make_model(**kind)
    assert run(tmp_path, model) == history
    check_same_weights(model, whole)


def test_a_run_goes_on_in_one_process(uninterrupted, tmp_path):
    """As in a notebook: the same model object, whose weights Keras or the kill has left changed."""
    kind, whole, history, _ = uninterrupted
    model = make_model(**kind)
    with pytest.raises(Killed):
        run(tmp_path, model, KillAt(1, 1))
    assert run(tmp_path, model) == history
    check_same_weights(model, whole)


def test_again_after_the_end_gives_the_same_and_trains_nothing(uninterrupted):
    kind, whole, history, folder = uninterrupted
    model, calls = make_model(**kind), FitCalls()
    before = RunCheckpoint(folder).path.read_bytes()
    assert run(folder, model, calls) == history
    check_same_weights(model, whole)
    assert calls.steps == [STEPS]
    assert RunCheckpoint(folder).path.read_bytes() == before


def test_more_epochs_go_on_from_the_end(tmp_path):
    whole = make_model()
    history = run(tmp_path / "whole", whole, epochs=EPOCHS)
    run(tmp_path / "parts", make_model(), epochs=1)
    model = make_model()
    assert run(tmp_path / "parts", model, epochs=EPOCHS) == history
    check_same_weights(model, whole)


def test_one_fit_unless_an_epoch_has_begun(tmp_path):
    data, calls = Calls(), FitCalls()
    run(tmp_path, make_model(), calls, data=data)
    assert calls.steps == [STEPS]
    assert data.asked == [(0, 0)]
    RunCheckpoint(tmp_path).remove()
    with pytest.raises(Killed):
        run(tmp_path, make_model(), KillAt(1, 1))
    data, calls = Calls(), FitCalls()
    run(tmp_path, make_model(), calls, data=data)
    assert calls.steps == [STEPS - 1, STEPS]
    # The first to make the metrics' variables.
    assert data.asked == [(1, 1), (1, 1), (2, 0)]


def test_an_early_stop_is_final(tmp_path):
    def stopping(model: keras.Model) -> BestStudent:
        return BestStudent(tmp_path, model, monitor="val_loss", mode="max", patience=1)

    whole = make_model()
    history = run(tmp_path, whole, stopping(whole))
    assert RunCheckpoint(tmp_path).position == Position(2, 0, stopped=True)
    assert len(history["loss"]) == 2
    model = make_model()
    assert run(tmp_path, model, stopping(model)) == history
    check_same_weights(model, whole)


def test_early_stopping_needs_validation_data(tmp_path):
    model = make_model()
    with pytest.raises(ValueError, match=r"validation_data=None, patience=2"):
        fit_resumable(
            model,
            Data(),
            EPOCHS,
            folder=tmp_path,
            callbacks=[BestStudent(tmp_path, model, patience=2)],
        )
    assert not any(tmp_path.iterdir())


class Terminate(KillAt):
    """SIGTERM instead of a kill."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.running == self.epoch and batch == self.step:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        pass


@pytest.mark.parametrize(
    ("at", "left"), [((1, 0), Position(1, 1)), ((1, STEPS - 1), Position(2, 0))]
)
def test_sigterm_saves_and_the_run_goes_on(uninterrupted, tmp_path, at, left):
    kind, whole, history, _ = uninterrupted
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingInterrupted, match=str(tmp_path)):
        run(tmp_path, make_model(**kind), Terminate(*at), every_minutes=1e6)
    assert signal.getsignal(signal.SIGTERM) is before
    assert RunCheckpoint(tmp_path).position == left
    model = make_model(**kind)
    assert run(tmp_path, model) == history
    check_same_weights(model, whole)


@pytest.mark.parametrize(
    ("epoch", "said"),
    [(0, "after step 1 of 3 of epoch 0.*nothing was saved"), (1, "begin is in .*checkpoint.npz")],
)
def test_sigterm_where_only_whole_epochs_are_saved(tmp_path, epoch, said):
    with pytest.raises(TrainingInterrupted, match=said):
        run(tmp_path, make_model(), Terminate(epoch, 0), every_minutes=None)
    assert RunCheckpoint(tmp_path).position == Position(epoch, 0)


def test_the_handler_is_put_back_after_an_error(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Killed):
        run(tmp_path, make_model(), KillAt(0, 0))
    assert signal.getsignal(signal.SIGTERM) is before


def test_trains_outside_of_the_main_thread(tmp_path):
    histories: list[Any] = []
    thread = threading.Thread(target=lambda: histories.append(run(tmp_path, make_model())))
    thread.start()
    thread.join()
    assert len(histories[0]["loss"]) == EPOCHS


def test_a_value_that_an_epoch_did_not_log_is_nan(tmp_path):
    history = run(tmp_path, make_model(), validation_freq=2)
    assert [math.isnan(value) for value in history["val_loss"]] == [True, False, True]
    assert len(history["loss"]) == EPOCHS
