"""`--strategy`: one device, the devices of this machine, or several machines."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from tfkd.cli.config import ConfigError
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.errors import TrainingInterrupted

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["StrategyName", "is_chief", "leaving_with_the_others", "start_strategy"]

StrategyName = Literal["one_device", "mirrored", "multi_worker"]


def start_strategy(name: StrategyName) -> "tf.distribute.Strategy":
    """Starts TensorFlow and makes the strategy to train under.

    Args:
        name: ``"one_device"``; ``"mirrored"`` for every GPU of this machine, or every logical CPU
            where there is none; ``"multi_worker"`` for the processes that TF_CONFIG lists.

    Raises:
        ConfigError: If several workers are wanted and TF_CONFIG does not list them.
    """
    if name == "multi_worker":
        workers = _workers()
        print(f"worker {_index()} of {len(workers)}, waiting for the others", flush=True)
        # Before TensorFlow finds its devices, which then are those of all workers.
        return start_tensorflow(_multi_worker)
    start_tensorflow()
    import tensorflow as tf

    if name == "one_device":
        return tf.distribute.get_strategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def is_chief() -> bool:
    """Whether this process is the one that writes: the first of the workers, or the only one."""
    return _index() == 0


@contextlib.contextmanager
def leaving_with_the_others(name: StrategyName) -> Iterator[None]:
    """Turns the loss of another worker into a `TrainingInterrupted`: all of them begin anew."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        if name != "multi_worker":
            raise
        reason = str(error.message).splitlines()[0][:200]
        raise TrainingInterrupted(f"another worker is gone ({reason})") from error


def _multi_worker() -> "tf.distribute.Strategy":
    import tensorflow as tf

    return tf.distribute.MultiWorkerMirroredStrategy()


def _workers() -> list[str]:
    try:
        return list(_tf_config()["cluster"]["worker"])
    except (KeyError, TypeError) as error:
        raise ConfigError(
            "strategy multi_worker: expected the environment variable TF_CONFIG to list the "
            'workers, such as {"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": '
            f'{{"type": "worker", "index": 0}}}}, found {os.environ.get("TF_CONFIG")!r}. See the '
            "README on SLURM and Kubernetes."
        ) from error


def _index() -> int:
    return int(_tf_config().get("task", {}).get("index", 0))


def _tf_config() -> dict:
    try:
        found = json.loads(os.environ.get("TF_CONFIG") or "{}")
    except json.JSONDecodeError as error:
        raise ConfigError(f"TF_CONFIG: expected JSON, but {error}.") from error
    return found if isinstance(found, dict) else {}
