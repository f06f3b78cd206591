"""`--strategy`: the same student from one device, two replicas, or two workers."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd.cli.main import main

SETTINGS = ["--network", "UNet", "--width", "0.05", "--epochs", "3", "--steps-per-epoch", "3"]
SETTINGS += ["--batch-size", "4", "--learning-rate", "1e-3"]
TIMEOUT_S = 240


def start(
    words: list[str | Path], folder: Path, cpus: int = 1, kill: int = -1, **variables: str
) -> subprocess.Popen:
    script = Path(__file__).with_name("strategy_main.py")
    number = len(list(folder.glob("*.log")))
    with (folder / f"{number}.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, str(script), str(cpus), str(kill), *map(str, words)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": ".", **variables},
        )


def start_workers(words: list[str | Path], folder: Path, kill: int = -1) -> list[subprocess.Popen]:
    """Two workers on loopback, of which the second is killed at the begin of an epoch."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
    cluster = {"worker": [f"localhost:{one.getsockname()[1]}" for one in sockets]}
    for one in sockets:
        one.close()
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        start(
            [*words, "--strategy", "multi_worker"],
            folder,
            kill=kill if task["index"] == 1 else -1,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": task}),
        )
        for task in tasks
    ]


def status(process: subprocess.Popen) -> int:
    try:
        return process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def logs(folder: Path) -> str:
    return "\n".join(path.read_text()[-3000:] for path in sorted(folder.glob("*.log")))


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open() as file:
        return [{name: float(v) for name, v in row.items()} for row in csv.DictReader(file)]


def check_like(run: Path, expected: Path) -> None:
    """The same history, and a network that a single process loads."""
    found, wanted = history(run), history(expected)
    assert len(found) == len(wanted) == 3
    for row, other in zip(found, wanted, strict=True):
        assert set(row) == set(other)
        for name, value in other.items():
            # Adam turns the rounding of small gradients into differences of this size.
            assert row[name] == pytest.approx(value, rel=0.01, abs=1e-3), name
    model = keras.saving.load_model(run / "model.keras", compile=False)
    assert not any(getattr(layer, "synchronized", False) for layer in model.layers)
    other = keras.saving.load_model(expected / "model.keras", compile=False)
    for weight, near in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(weight, near, atol=0.02)
    assert sorted(path.name for path in run.iterdir()) == sorted(
        path.name for path in expected.iterdir()
    )


@pytest.fixture(scope="module")
def teacher(models: Path) -> Path:
    return models / "fitting.keras"


@pytest.fixture(scope="module")
def one_device(records: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("strategy") / "one"
    words = ["distill", str(records), str(out), "--teacher", str(teacher), *SETTINGS]
    assert main(words) == 0
    return out


def test_two_replicas(records: Path, teacher: Path, one_device: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["distill", records, out, "--teacher", teacher, *SETTINGS, "--strategy", "mirrored"]
    assert status(start(words, tmp_path, cpus=2)) == 0, logs(tmp_path)
    check_like(out, one_device)


def test_two_workers_one_of_which_is_killed(
    records: Path, teacher: Path, one_device: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ["distill", records, out, "--teacher", teacher, *SETTINGS]
    first, second = start_workers(words, tmp_path, kill=1)
    assert status(second) == -signal.SIGKILL, logs(tmp_path)
    assert status(first) == 75, logs(tmp_path)  # what cluster managers take as "try again"
    said = (tmp_path / "0.log").read_text().splitlines()[-1]
    assert said.startswith("tfkd distill: another worker is gone")
    for process in start_workers(words, tmp_path):
        assert status(process) == 0, logs(tmp_path)
    check_like(out, one_device)
    assert json.loads((out / "run.json").read_text())["resumed_at"] == [{"epoch": 1, "step": 0}]


@pytest.mark.parametrize("value", ["", "{}", '{"cluster": {}}', "[1]", "{"])
def test_workers_that_are_not_listed(
    records: Path,
    tmp_path: Path,
    fail: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    value: str,
) -> None:
    monkeypatch.setenv("TF_CONFIG", value)
    words = ["train", records, tmp_path / "out", "--strategy", "multi_worker"]
    fail(words, "TF_CONFIG")
    assert not (tmp_path / "out").exists()
