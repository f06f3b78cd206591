"""One training on one device, on two replicas, and on two workers: the same student comes out."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

_LIMIT_S = 240


def start(mode: str, folder: Path, *arguments: str, **variables: str) -> subprocess.Popen:
    """A process of the training, its output in a file of its own."""
    command = [sys.executable, "-m", "tests.distillation.scale_worker", mode, str(folder)]
    path = folder / f"{mode}{len(list(folder.glob('*.log')))}.log"
    with path.open("w") as log:
        return subprocess.Popen(
            [*command, *arguments],
            env={**os.environ, **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def start_workers(folder: Path, kill_at: int | None = None) -> list[subprocess.Popen]:
    """Two workers on loopback; the second kills itself at the begin of an epoch."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    return [
        start(
            "multi",
            folder,
            *([str(kill_at)] if kill_at is not None and index == 1 else []),
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def status(process: subprocess.Popen) -> int:
    """Exit status; a worker that waits for others does not hear SIGTERM."""
    try:
        return process.wait(_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def logs(folder: Path) -> str:
    return "\n".join(path.read_text()[-3000:] for path in sorted(folder.glob("*.log")))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes, on the same global batches."""
    folder = tmp_path_factory.mktemp("scale")
    assert status(start("one", folder)) == 0, logs(folder)
    return folder / "one-0"


def check_equal(path: Path, expected: Path) -> None:
    """Weights after 20 steps within 1e-5, and the same history and evaluation."""
    with np.load(f"{path}.npz") as found, np.load(f"{expected}.npz") as wanted:
        for name in wanted.files:
            np.testing.assert_allclose(found[name], wanted[name], atol=1e-5)
    found, wanted = (json.loads(Path(f"{one}.json").read_text()) for one in (path, expected))
    assert set(found["history"]) == set(wanted["history"])
    for name, curve in found["history"].items():
        # A run that was restarted tells the epochs since then.
        np.testing.assert_allclose(curve, wanted["history"][name][-len(curve) :], rtol=1e-4)
    for name, value in wanted["evaluate"].items():
        np.testing.assert_allclose(found["evaluate"][name], value, rtol=1e-4)


def test_two_replicas_train_the_same_student(alone: Path, tmp_path: Path) -> None:
    assert status(start("mirrored", tmp_path)) == 0, logs(tmp_path)
    check_equal(tmp_path / "mirrored-0", alone)


def test_two_workers_train_the_same_student_although_one_is_killed(
    alone: Path, tmp_path: Path
) -> None:
    first, second = start_workers(tmp_path, kill_at=2)
    assert status(second) == -signal.SIGKILL, logs(tmp_path)
    assert status(first) > 0, "a worker that is left alone must end, not hang"
    for process in start_workers(tmp_path):
        assert status(process) == 0, logs(tmp_path)
    for worker in range(2):
        check_equal(tmp_path / f"multi-{worker}", alone)
        history = json.loads((tmp_path / f"multi-{worker}.json").read_text())["history"]
        assert len(history["loss"]) == 3  # epochs 2, 3 and 4: it went on, and did not begin anew
