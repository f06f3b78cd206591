"""A training that is killed or told to stop, and then given again, ends as if nothing had been."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.cli.interrupted_main import small_network
from tfkd.callbacks import Position, RunCheckpoint
from tfkd.cli.main import main
from tfkd.models import fingerprint
from tfkd.models.network_file import read_facts
from tfkd.records import Manifest

SETTINGS = ["--epochs", "3", "--steps-per-epoch", "3", "--batch-size", "2", "--ema", "0.8"]
SETTINGS += ["--recalibrate"]
RUN_FILES = {"best.keras", "config.toml", "history.csv", "model.keras", "run.json"}


def tfkd(words: list[str | Path], status: int, end: str, after: int) -> str:
    """Standard error of a command in a process of its own, which must end with that status."""
    script = Path(__file__).with_name("interrupted_main.py")
    # With SIGTERM, only the signal can be the reason for a checkpoint in mid-epoch.
    minutes = ["--checkpoint-minutes", "1000" if end == "SIGTERM" else "0"]
    result = subprocess.run(
        [sys.executable, script, end, str(after), *map(str, words), *minutes],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert result.returncode == status, result.stderr
    return result.stderr


def to_the_end(words: list[str | Path]) -> None:
    """The same command here, with the network of those processes: they cost seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfkd.models.build", small_network)
        assert main([*map(str, words), "--checkpoint-minutes", "0"]) == 0


class Killed(BaseException):
    """What nothing in the library catches: it ends a training as SIGKILL does, in this process."""


def killed(words: list[str | Path], after: int) -> None:
    """The same command here, which ends after so many steps and their checkpoint."""
    save, seen = RunCheckpoint.on_train_batch_end, 0

    def on_train_batch_end(self: RunCheckpoint, batch: int, logs: Any = None) -> None:
        nonlocal seen
        seen += 1
        save(self, batch, logs)
        if seen == after:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunCheckpoint, "on_train_batch_end", on_train_batch_end)
        with pytest.raises(Killed):
            to_the_end(words)


def check_same_run(one: Path, other: Path) -> None:
    """The same weights bit for bit, and the same history."""
    for name in ("model.keras", "best.keras"):
        first, second = (keras.saving.load_model(run / name, compile=False) for run in (one, other))
        for expected, weight in zip(first.get_weights(), second.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)
    assert (one / "history.csv").read_text() == (other / "history.csv").read_text()
    for run in (one, other):
        assert {path.name for path in run.iterdir()} == RUN_FILES


def record_of(run: Path) -> dict:
    return json.loads((run / "run.json").read_text("utf-8"))


def test_train_stopped_and_killed(records: Path, tmp_path: Path, fail: Callable[..., str]) -> None:
    whole, out = tmp_path / "whole", tmp_path / "run"
    to_the_end(["train", records, whole, *SETTINGS])
    words = ["train", records, out, *SETTINGS]

    said = tfkd(words, 75, "SIGTERM", 2)
    (line,) = (line for line in said.splitlines() if line.startswith("tfkd"))
    assert line == (
        f"tfkd train: stopped after step 2 of 3 of epoch 0, counted from 0; the state is in "
        f"{out / 'checkpoint.npz'}; run the same command to go on"
    )
    assert RunCheckpoint(out).position == Position(0, 2)

    tfkd(words, -signal.SIGKILL, "SIGKILL", 3)
    assert RunCheckpoint(out).position == Position(1, 2)
    # What a kill in the middle of writing would have left besides.
    for name in ("best.next-1.keras", "config.toml"):
        (out / f".01234567.{name}").write_bytes(b"half")
    before = {path: path.read_bytes() for path in out.iterdir() if path.name[0] != "."}
    fail([*words, "--learning-rate", "0.5"], out, "learning_rate 0.002, not 0.5")
    assert {path: path.read_bytes() for path in out.iterdir()} == before

    to_the_end(words)
    check_same_run(whole, out)
    record, other = record_of(out), record_of(whole)
    assert record["resumed_at"] == [{"epoch": 0, "step": 2}, {"epoch": 1, "step": 2}]
    assert other["resumed_at"] == []
    assert record["fingerprint"] == other["fingerprint"]
    assert record["best"] == other["best"]


def test_distill_killed(models: Path, records: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "run"
    teacher = ["--teacher", models / "fitting.keras"]
    to_the_end(["distill", records, whole, *teacher, *SETTINGS])
    words = ["distill", records, out, *teacher, *SETTINGS]
    killed(words, 5)
    assert not (out / "model.keras").exists()
    assert len((out / "history.csv").read_text().splitlines()) == 2
    to_the_end(words)
    check_same_run(whole, out)
    (taught,) = record_of(out)["teachers"]
    loaded = keras.saving.load_model(models / "fitting.keras", compile=False)
    assert taught == {
        "file": str(models / "fitting.keras"),
        "fingerprint": fingerprint(loaded),
    }


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verbs train a network that takes moments to build."""
    monkeypatch.setattr("tfkd.models.build", small_network)


@pytest.fixture
def killed_at_the_end(
    small: None, models: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str | Path]:
    """Words of a distillation that was killed between model.keras and the end."""
    own, teacher = tmp_path / "records", tmp_path / "teacher.keras"
    shutil.copytree(records, own)
    shutil.copy(models / "fitting.keras", teacher)
    words = ["distill", own, tmp_path / "run", "--teacher", teacher]
    words += ["--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "2"]

    def kill(self: RunCheckpoint) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoint, "remove", kill)
        assert main([str(word) for word in words]) == 130
    return words


def test_killed_after_the_model_was_written(
    killed_at_the_end: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert {path.name for path in out.iterdir()} == RUN_FILES | {"checkpoint.npz"}
    before = (out / "model.keras").read_bytes()
    capsys.readouterr()
    assert main([str(word) for word in killed_at_the_end]) == 0
    assert capsys.readouterr().out == f"{out / 'model.keras'}\n"
    assert {path.name for path in out.iterdir()} == RUN_FILES
    assert (out / "model.keras").read_bytes() == before


def test_other_records_or_teachers_are_noticed(
    killed_at_the_end: list[str | Path], tmp_path: Path, fail: Callable[..., str]
) -> None:
    out, teacher = tmp_path / "run", tmp_path / "teacher.keras"
    (out / "model.keras").unlink()
    before = {path: path.read_bytes() for path in out.iterdir()}
    other = keras.saving.load_model(teacher, compile=False)
    other.set_weights([2 * weight for weight in other.get_weights()])
    other.save(teacher)
    said = fail(killed_at_the_end, out / "run.json", f"other content in the teacher {teacher}")
    assert "records in" not in said
    manifest = tmp_path / "records" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    fail(killed_at_the_end, f"the records in {manifest.parent}, the teacher {teacher}")
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.usefixtures("small")
def test_every_option_at_once(records: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    out = tmp_path / "run"
    words = ["train", str(records), str(out), "--epochs", "30", "--steps-per-epoch", "2"]
    words += ["--precision", "mixed_float16", "--ema", "0.5", "--early-stopping", "1"]
    # At such a learning rate, no more than a few epochs in a row get better.
    words += ["--learning-rate", "0.5", "--tensorboard", "--recalibrate", "--batch-size", "2"]
    assert main(words) == 0
    assert keras.config.dtype_policy().name == "float32"
    assert {path.name for path in out.iterdir()} == RUN_FILES | {"tensorboard"}
    for name in ("model.keras", "best.keras"):
        network = keras.saving.load_model(out / name)
        assert {layer.compute_dtype for layer in network.layers} == {"float32"}
        assert read_facts(out / name) == Manifest.load(records).facts
    assert {path.name for path in (out / "tensorboard").iterdir()} == {
        "slices",
        "train",
        "validation",
    }
    record = record_of(out)
    model = keras.saving.load_model(out / "model.keras")
    assert record["fingerprint"] == fingerprint(model)
    assert record["weights"] == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert record["command"] == "train"
    assert record["config"]["precision"] == "mixed_float16"
    assert record["config"]["records"] == str(records)
    assert len(record["trained_on"]) == 3
    assert record["started_utc"] <= record["finished_utc"]
    assert record["epochs_run"] == record["best"]["epoch"] + 2 < 30
    assert len((out / "history.csv").read_text().splitlines()) == 1 + record["epochs_run"]
    assert set(record["versions"]) == {"tfkd", "python", "tensorflow", "keras", "numpy"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--ema", "1"], "momentum between 0 and 1, received 1.0"),
        (["--early-stopping", "0"], "at least 1 epoch, received 0"),
        (["--dice-share", "1.5"], "expected at least 0, and 0 to 1, received 2.0 and 1.5"),
        (["--checkpoint-minutes", "-1"], "at least 0, received -1.0"),
    ],
)
def test_settings_out_of_range(
    records: Path, tmp_path: Path, fail: Callable[..., str], options: list[str], reason: str
) -> None:
    fail(["train", records, tmp_path / "run", *options], reason)
    assert not any(tmp_path.iterdir())


def test_early_stopping_needs_validation_cases(
    cohort: Path, tmp_path: Path, fail: Callable[..., str]
) -> None:
    records, out = tmp_path / "records", tmp_path / "run"
    words = ["prepare", cohort, records, "--size", "32", "32", "--validation", "0"]
    assert main([str(word) for word in words]) == 0
    fail(["train", records, out, "--early-stopping", "2"], records, "validation cases")
    assert not out.exists()


@pytest.mark.usefixtures("small")
def test_without_validation_there_is_no_best(cohort: Path, tmp_path: Path) -> None:
    records, out = tmp_path / "records", tmp_path / "run"
    words = ["prepare", cohort, records, "--size", "32", "32", "--validation", "0"]
    assert main([str(word) for word in words]) == 0
    words = ["train", records, out, "--epochs", "1", "--steps-per-epoch", "1"]
    assert main([str(word) for word in words]) == 0
    assert {path.name for path in out.iterdir()} == RUN_FILES - {"best.keras"}
    assert record_of(out)["best"] is None


@pytest.mark.usefixtures("small")
def test_without_a_labelled_slice_there_are_no_images(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    monkeypatch.setattr("tfkd.callbacks.telling_slices", lambda *rest: [])
    words = ["train", records, tmp_path / "run", "--epochs", "1", "--steps-per-epoch", "1"]
    assert main([*map(str, words), "--tensorboard"]) == 0
    assert not (tmp_path / "run" / "tensorboard" / "slices").exists()
