"""`--strategy`: the same student from one device, two replicas, or two workers."""

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.cli.strategy_main import small_network
from tests.workers import logs, start, start_workers, status
from tfkd.cli import distill
from tfkd.cli.config import ConfigError
from tfkd.cli.main import main
from tfkd.cli.strategy import is_chief, leaving_with_the_others
from tfkd.cli.training import build_network, load_data
from tfkd.errors import TrainingInterrupted

# A method that compiles soon; `tests/distillation/test_scale.py` shares out those of the paper.
SETTINGS = ["--method", "kd", "--epochs", "3", "--steps-per-epoch", "3", "--batch-size", "4"]
SETTINGS += ["--learning-rate", "1e-3", "--ema", "0.8", "--tensorboard"]


def tfkd(words: list[str | Path], cpus: int = 1, kill: int = -1) -> list[str | Path]:
    """Words of a process with that many logical CPUs, killed at the begin of an epoch."""
    return [Path(__file__).with_name("strategy_main.py"), str(cpus), str(kill), *words]


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open() as file:
        return [{name: float(v) for name, v in row.items()} for row in csv.DictReader(file)]


def flat(network: keras.Model) -> np.ndarray:
    return np.concatenate([np.ravel(weight) for weight in network.trainable_weights])


def check_like(run: Path, expected: Path, initial: np.ndarray) -> None:
    """The same history, and a network that a single process loads and that learnt the same."""
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
    way, apart = flat(other) - initial, flat(model) - flat(other)
    assert np.linalg.norm(apart) < 0.2 * np.linalg.norm(way)
    assert sorted(path.name for path in run.iterdir()) == sorted(
        path.name for path in expected.iterdir()
    )


@pytest.fixture(scope="module", autouse=True)
def _small():
    """A single process trains the network of `strategy_main.py`, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfkd.models.build", small_network)
        yield


@pytest.fixture(scope="module")
def teacher(models: Path) -> Path:
    return models / "fitting.keras"


@pytest.fixture(scope="module")
def one_device(records: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("strategy") / "one"
    words = ["distill", str(records), str(out), "--teacher", str(teacher), *SETTINGS]
    assert main(words) == 0
    return out


@pytest.fixture(scope="module")
def initial(records: Path, teacher: Path) -> np.ndarray:
    """The weights that every training here begins with."""
    config = distill.Config(records=records, out=Path("unwritten"), teacher=(teacher,))
    return flat(build_network(config, load_data(config, tf.distribute.get_strategy())))


def test_two_replicas(
    records: Path, teacher: Path, one_device: Path, initial: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ["distill", records, out, "--teacher", teacher, *SETTINGS, "--strategy", "mirrored"]
    assert status(start(tfkd(words, cpus=2), tmp_path)) == 0, logs(tmp_path)
    check_like(out, one_device, initial)


def test_two_workers_one_of_which_is_killed(
    records: Path, teacher: Path, one_device: Path, initial: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ["distill", records, out, "--teacher", teacher, *SETTINGS]
    words += ["--strategy", "multi_worker"]
    first, second = start_workers([tfkd(words), tfkd(words, kill=1)], tmp_path)
    assert status(second) == -signal.SIGKILL, logs(tmp_path)
    assert status(first) == 75, logs(tmp_path)  # what cluster managers take as "try again"
    said = (tmp_path / "0.log").read_text().splitlines()[-1]
    assert said.startswith("tfkd distill: another worker is gone")
    for process in start_workers([tfkd(words)] * 2, tmp_path):
        assert status(process) == 0, logs(tmp_path)
    check_like(out, one_device, initial)
    assert json.loads((out / "run.json").read_text())["resumed_at"] == [{"epoch": 1, "step": 0}]


def tf_config(task: object, **roles: list[str]) -> str:
    return json.dumps({"cluster": {"worker": ["a:1", "b:1"], **roles}, "task": task})


@pytest.mark.parametrize(
    "value",
    [
        "",
        "{}",
        '{"cluster": {}}',
        "[1]",
        "{",
        tf_config({"type": "worker"}),
        tf_config({"type": "worker", "index": 2}),
        tf_config({"type": "worker", "index": -1}),
        tf_config({"type": "worker", "index": "0"}),
        tf_config({"type": "chief", "index": 0}),
        tf_config({"type": "worker", "index": 0}, chief=["c:1"]),
        tf_config({"type": "worker", "index": 0}, ps=["c:1"]),
        tf_config({"type": "worker", "index": 0}, worker=["a:1", "b"]),
        tf_config({"type": "worker", "index": 0}, worker=["a:1", "b:99999"]),
        tf_config({"type": "worker", "index": 0}, worker=["a:1", "a:1"]),
        tf_config({"type": "worker", "index": 0}, worker=["a:1", 2]),
        "[" * 10_000,
    ],
)
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


def test_the_first_of_several_workers_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(2):
        monkeypatch.setenv("TF_CONFIG", tf_config({"type": "worker", "index": index}))
        assert is_chief("multi_worker") == (index == 0)
        assert is_chief("one_device")
        assert is_chief("mirrored")
    monkeypatch.setenv("TF_CONFIG", "{")
    assert is_chief("one_device")
    with pytest.raises(ConfigError, match="TF_CONFIG"):
        is_chief("multi_worker")


def test_the_loss_of_a_worker_is_no_other_error() -> None:
    gone = tf.errors.UnavailableError(None, None, "")
    said = r"is gone \(UnavailableError\)"
    with pytest.raises(TrainingInterrupted, match=said), leaving_with_the_others("multi_worker"):
        raise gone
    with pytest.raises(tf.errors.UnavailableError), leaving_with_the_others("one_device"):
        raise gone
    full = tf.errors.ResourceExhaustedError(None, None, "no memory")
    with pytest.raises(tf.errors.ResourceExhaustedError), leaving_with_the_others("multi_worker"):
        raise full


def test_a_batch_that_the_replicas_cannot_share(records: Path, tmp_path: Path) -> None:
    two = SimpleNamespace(num_replicas_in_sync=2)
    config = distill.Config(records=records, out=tmp_path, teacher=(), batch_size=3)
    with pytest.raises(ConfigError, match=r"batch_size: .* multiple of the 2 replicas.* 3"):
        load_data(config, two)


def test_only_the_first_worker_clears_up(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".01234567.run.json"
    left.touch()
    config = distill.Config(records=records, out=tmp_path, teacher=(), strategy="multi_worker")
    for index in (1, 0):
        monkeypatch.setenv("TF_CONFIG", tf_config({"type": "worker", "index": index}))
        load_data(config, SimpleNamespace(num_replicas_in_sync=2))
        assert left.exists() == (index == 1)
