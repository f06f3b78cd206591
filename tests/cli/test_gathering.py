"""Workers wait for each other, and can be told to stop."""

import json
import math
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.workers import free_ports
from tfkd.cli import gathering
from tfkd.cli.config import ConfigError
from tfkd.cli.gathering import gather
from tfkd.cli.main import main
from tfkd.cli.strategy import start_strategy
from tfkd.errors import TrainingInterrupted


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_PERIOD_S", 0.05)


@pytest.fixture
def addresses() -> list[str]:
    return [f"localhost:{port}" for port in free_ports(3)]


@pytest.fixture
def signalled() -> Callable[[signal.Signals], None]:
    def later(number: signal.Signals) -> None:
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()

    return later


def test_all_come_in_any_order(addresses: list[str]) -> None:
    with ThreadPoolExecutor() as pool:
        for index in (2, 0, 1):
            pool.submit(gather, addresses, index, 1.0).add_done_callback(lambda one: one.result())
    assert gather(addresses[:1], 0, 1.0) is None


def test_those_that_did_not_come_are_named_to_all_others(addresses: list[str]) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(gather, addresses, 0, 0.03)
        second = pool.submit(gather, addresses, 1, 0.015)
    with pytest.raises(TrainingInterrupted, match=rf"in vain for worker 2 \({addresses[2]}\)"):
        second.result()
    # The second one is gone by then.
    with pytest.raises(TrainingInterrupted, match=rf"workers 1 \({addresses[1]}\), 2 \("):
        first.result()


def test_without_the_first_worker(addresses: list[str]) -> None:
    with pytest.raises(TrainingInterrupted, match=rf"for worker 0 \({addresses[0]}\)"):
        gather(addresses, 1, 0.005)


@pytest.mark.parametrize("minutes", [0.0, -1.0, math.nan, math.inf])
def test_a_time_to_wait_that_is_none(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch, minutes: float
) -> None:
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    with pytest.raises(ConfigError, match="wait_minutes: expected a positive number"):
        start_strategy("multi_worker", minutes)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_waiting_worker_is_told_to_stop(
    records: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    addresses: list[str],
    signalled: Callable[[signal.Signals], None],
    index: int,
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    task = {"cluster": {"worker": addresses[:2]}, "task": {"type": "worker", "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    signalled(number)
    words = ["train", str(records), str(tmp_path / "run"), "--strategy", "multi_worker"]
    assert main(words) == 75
    captured = capsys.readouterr()
    assert captured.out == f"worker {index} of 2, waiting for the others, at most 30 minutes\n"
    assert captured.err == (
        f"tfkd train: told to stop while waiting for worker {1 - index} "
        f"({addresses[1 - index]}); run the same command to go on\n"
    )
    assert signal.getsignal(number) == before
