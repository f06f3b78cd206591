"""One training on one device, on two replicas, and on two workers: the same student comes out."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.distillation import scale_worker
from tests.workers import logs, start, start_workers, status


def training(mode: str, folder: Path) -> list[str | Path]:
    """Words of a process."""
    return ["-m", "tests.distillation.scale_worker", mode, folder]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes, this one, on the same global batches."""
    folder = tmp_path_factory.mktemp("scale")
    scale_worker.main("one", folder)
    return folder / "one-0"


def check_equal(path: Path, expected: Path) -> None:
    """Weights after 20 steps within 1e-5, and the same history and evaluation."""
    with np.load(f"{path}.npz") as found, np.load(f"{expected}.npz") as wanted:
        for name in wanted.files:
            np.testing.assert_allclose(found[name], wanted[name], atol=1e-5)
    found, wanted = (json.loads(Path(f"{one}.json").read_text()) for one in (path, expected))
    assert set(found["history"]) == set(wanted["history"])
    for name, curve in found["history"].items():
        np.testing.assert_allclose(curve, wanted["history"][name], rtol=1e-4)
    for name, value in wanted["evaluate"].items():
        np.testing.assert_allclose(found["evaluate"][name], value, rtol=1e-4)


def test_two_replicas_train_the_same_student(alone: Path, tmp_path: Path) -> None:
    assert status(start(training("mirrored", tmp_path), tmp_path)) == 0, logs(tmp_path)
    check_equal(tmp_path / "mirrored-0", alone)


def test_two_workers_train_the_same_student(alone: Path, tmp_path: Path) -> None:
    """One that is killed on the way: `tests/cli/test_strategy.py`."""
    words = training("multi", tmp_path)
    for process in start_workers([words, words], tmp_path):
        assert status(process) == 0, logs(tmp_path)
    for worker in range(2):
        check_equal(tmp_path / f"multi-{worker}", alone)
