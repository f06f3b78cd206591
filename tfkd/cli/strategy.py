"""`--strategy`: one device, the devices of this machine, or several machines."""

import contextlib
import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from tfkd.cli.config import ConfigError
from tfkd.cli.ending_at_once import ending_at_once
from tfkd.cli.gathering import gather
from tfkd.cli.killable import killable
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.errors import TrainingInterrupted
from tfkd.files import parse_json

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["StrategyName", "is_chief", "leaving_with_the_others", "meet", "start_strategy"]

StrategyName = Literal["one_device", "mirrored", "multi_worker"]

_CONNECTING_S = 120.0  # seconds suffice, as all workers are there by then


def start_strategy(name: StrategyName, wait_minutes: float = 30.0) -> "tf.distribute.Strategy":
    """Starts TensorFlow and makes the strategy to train under.

    Args:
        name: ``"one_device"``; ``"mirrored"`` for every GPU of this machine, or every logical CPU
            where there is none; ``"multi_worker"`` for the processes that TF_CONFIG lists.
        wait_minutes: How long to wait for the other workers; more than 0.

    Raises:
        ConfigError: If several workers are wanted and TF_CONFIG does not list them, or if the time
            is not a positive number.
        TrainingInterrupted: If they do not all come, or this one is told to stop meanwhile.
    """
    if name == "multi_worker":
        index, addresses = _place()
        if not (math.isfinite(wait_minutes) and wait_minutes > 0):
            raise ConfigError(
                f"wait_minutes: expected a positive number, received {wait_minutes:g}."
            )

        def wait() -> None:
            print(
                f"worker {index} of {len(addresses)}, waiting for the others, at most "
                f"{wait_minutes:g} minutes",
                flush=True,
            )
            gather(addresses, index, wait_minutes)
            print(f"all {len(addresses)} workers are there; TensorFlow connects them", flush=True)

        # Before TensorFlow finds its devices, which then are those of all workers.
        return start_tensorflow(_multi_worker, wait)
    start_tensorflow()
    import tensorflow as tf

    if name == "one_device":
        return tf.distribute.get_strategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def is_chief(name: StrategyName) -> bool:
    """Whether this process is the one that writes: the first of several workers, or the only one.

    Other strategies have one process, whatever TF_CONFIG says.
    """
    return name != "multi_worker" or _place()[0] == 0


def meet(strategy: "tf.distribute.Strategy") -> None:
    """Waits until all workers have come here; where there is one process, for nobody."""
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return

    @tf.function
    def add_up() -> None:
        strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("SUM", tf.zeros(())))

    with ending_at_once("waiting for the other workers"):
        add_up()


@contextlib.contextmanager
def leaving_with_the_others(name: StrategyName) -> Iterator[None]:
    """Turns the loss of another worker into a `TrainingInterrupted`: all of them begin anew."""
    import tensorflow as tf

    lost = (
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
        tf.errors.UnavailableError,
    )
    try:
        yield
    except lost as error:
        if name != "multi_worker":
            raise
        # Its message begins with where in the graph; the log holds what TensorFlow says of it.
        raise TrainingInterrupted(f"another worker is gone ({type(error).__name__})") from error


def _multi_worker() -> "tf.distribute.Strategy":
    import tensorflow as tf

    # One of them may have ended since they gathered; TensorFlow would wait for it for an hour. It
    # also takes SIGTERM for itself here, so that Ctrl-C ends this at once, and SIGTERM the time.
    with killable(_CONNECTING_S):
        return tf.distribute.MultiWorkerMirroredStrategy()


def _place() -> tuple[int, list[str]]:
    """Which worker this process is, from 0, and the address of each, by TF_CONFIG."""
    given = os.environ.get("TF_CONFIG", "")
    try:
        found = parse_json(given)
        cluster, task = found["cluster"], found["task"]
        index, addresses = task["index"], cluster["worker"]
        fits = set(cluster) == {"worker"} and task["type"] == "worker"
        fits = fits and isinstance(addresses, list) and all(map(_is_address, addresses))
        fits = fits and len(set(addresses)) == len(addresses)
        fits = fits and type(index) is int and 0 <= index < len(addresses)
    except (KeyError, TypeError, ValueError, RecursionError):
        fits = False
    if not fits:
        raise ConfigError(
            "strategy multi_worker: expected the environment variable TF_CONFIG to list the "
            "workers, no other roles, and which of them this is, such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", '
            f'"index": 0}}}}, found {given!r}. See examples/slurm.sh and examples/kubernetes.yaml.'
        )
    return index, addresses


def _is_address(value: object) -> bool:
    """Whether it is ``"host:port"``."""
    if not isinstance(value, str):
        return False
    host, _, port = value.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 2**16
