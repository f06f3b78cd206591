"""What a checkpoint holds, and what it refuses."""

import json
from typing import Any

import keras
import numpy as np
import pytest

from tests.callbacks.training import Data, KillAt, Killed, make_model, run
from tfkd.callbacks import Position, RunCheckpoint, checkpoint_file
from tfkd.errors import RecordError


@pytest.fixture
def killed(tmp_path):
    """Folder of a run with two steps of epoch 1 done."""
    with pytest.raises(Killed):
        run(tmp_path, make_model(scaled=True), KillAt(1, 2))
    return tmp_path


def test_everything_that_changes_is_in_it(killed):
    with np.load(killed / "checkpoint.npz") as file:
        facts = json.loads(file["facts.json"].tobytes())
        sizes = {name: file[name].shape for name in file.files}
    state, metrics = facts["variables"]["state"], facts["variables"]["metrics"]
    assert len(state) + len(metrics) + 1 == len(sizes)
    for part in (
        "first/kernel (3, 3, 1, 3) float32",
        "norm/moving_mean",
        "seed_generator_state (2,)",
        "iteration () int",
        "dynamic_scale () float32",
        "step_counter",
        "first_kernel_momentum",
        "first_kernel_velocity",
        "first_kernel_average",
    ):
        assert [name for name in state if part in name], (part, state)
    assert {"loss/total", "loss/count", "slice_dice/shared"} <= {n.split()[0] for n in metrics}
    assert (facts["epoch"], facts["step"], len(facts["rows"])) == (1, 2, 1)


def test_no_file_is_the_beginning(tmp_path):
    checkpoint = RunCheckpoint(tmp_path)
    assert checkpoint.position == Position(0, 0, stopped=False)
    assert checkpoint.rows == []
    checkpoint.remove()


def test_saves_at_the_end_of_epochs_and_when_it_is_time(tmp_path, monkeypatch):
    saved: list[tuple[int, int]] = []

    def write(path: Any, facts: Any, arrays: Any) -> None:
        saved.append((facts["epoch"], facts["step"]))

    monkeypatch.setattr("tfkd.callbacks.run_checkpoint.write_checkpoint", write)

    def fit(every_minutes: float) -> list[tuple[int, int]]:
        saved.clear()
        make_model().fit(
            Data().stream(),
            steps_per_epoch=3,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=[RunCheckpoint(tmp_path, every_minutes)],
        )
        return list(saved)

    assert fit(1e6) == [(1, 0), (2, 0)]
    assert fit(0) == [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]
    # 4 minutes a step: every second step of an epoch that the epoch's end does not save.
    clock = iter(range(0, 10**6, 240))
    monkeypatch.setattr("tfkd.callbacks.run_checkpoint.time.monotonic", lambda: next(clock))
    assert fit(5) == [(0, 2), (1, 0), (1, 2), (2, 0)]


def test_a_kill_while_writing_leaves_the_earlier_file(killed, monkeypatch):
    before = (killed / "checkpoint.npz").read_bytes()

    def die(*rest: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_file.os, "fsync", die)
        with pytest.raises(Killed):
            run(killed, make_model(scaled=True))
    assert (killed / "checkpoint.npz").read_bytes() == before
    assert (killed / "checkpoint.npz.partial").exists()
    run(killed, make_model(scaled=True))
    assert [path.name for path in killed.iterdir()] == ["checkpoint.npz"]
    RunCheckpoint(killed).remove()
    assert not any(killed.iterdir())


def test_a_full_disk_is_an_error_that_names_the_file(killed, monkeypatch):
    before = (killed / "checkpoint.npz").read_bytes()

    def fill(*rest: Any, **arrays: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_file.np, "savez", fill)
    with pytest.raises(RecordError, match=r"checkpoint\.npz: .*No space left"):
        run(killed, make_model(scaled=True))
    assert (killed / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"width": 4}, r"Variable 0 was first/kernel \(3, 3, 1, 3\) float32 and is .*\(3, 3, 1, 4"),
        ({"ema": False}, r"Variable \d+ was adam/first_kernel_average .* is adam/first_kernel_mom"),
        ({"scaled": False}, r"was loss_scale_optimizer/iteration .* and is adam/iteration"),
    ],
)
def test_another_model_is_refused(killed, other, named):
    before = (killed / "checkpoint.npz").read_bytes()
    with pytest.raises(RecordError, match=rf"checkpoint\.npz: .*{named}"):
        run(killed, make_model(**{"scaled": True} | other))
    assert (killed / "checkpoint.npz").read_bytes() == before


def test_other_metrics_are_refused(killed):
    model = make_model(scaled=True)
    model.compile(model.optimizer, model.loss, metrics=["accuracy"])
    with pytest.raises(RecordError, match=r"was slice_dice/shared"):
        run(killed, model)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_epochs_of_another_length_are_refused(killed, steps):
    with pytest.raises(RecordError, match=rf"epochs of 3 steps.*Received {steps}"):
        run(killed, make_model(scaled=True), data=Data(steps_per_epoch=steps))


def test_a_fit_that_begins_elsewhere_is_refused(killed):
    with pytest.raises(RecordError, match=r"begin with epoch 1.*initial_epoch=0.*fit_resumable"):
        make_model(scaled=True).fit(
            Data().stream(),
            steps_per_epoch=1,
            shuffle=False,
            verbose=0,
            callbacks=[RunCheckpoint(killed)],
        )


def test_a_damaged_file_is_named(killed):
    path = killed / "checkpoint.npz"
    for content in (b"", b"no archive", path.read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(RecordError, match=r"checkpoint\.npz: .*Remove the file"):
            run(killed, make_model(scaled=True))


def test_settings_out_of_range(tmp_path):
    with pytest.raises(ValueError, match="every_minutes=-1"):
        RunCheckpoint(tmp_path, every_minutes=-1)
    model = make_model()
    images = Data().stream().take(2).filter(lambda *_: True)
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(images, verbose=0, shuffle=False, callbacks=[RunCheckpoint(tmp_path)])


def test_names_do_not_count_how_many_models_there_were(killed):
    keras.layers.Conv2D(1, 1)
    run(killed, make_model(scaled=True))
