"""Processes of one training, as on several machines."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["free_ports", "logs", "start", "start_workers", "status"]

_LIMIT_S = 240


def start(words: Sequence[str | Path], folder: Path, **variables: str) -> subprocess.Popen:
    """Python with these words, its output in a log of its own in the folder."""
    number = len(list(folder.glob("*.log")))
    with (folder / f"{number}.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, *map(str, words)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONPATH": ".", **variables},
        )


def start_workers(each: Sequence[Sequence[str | Path]], folder: Path) -> list[subprocess.Popen]:
    """A worker on loopback for each list of words."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(len(each))]}
    tasks = [{"type": "worker", "index": index} for index in range(len(each))]
    return [
        start(words, folder, TF_CONFIG=json.dumps({"cluster": cluster, "task": task}))
        for words, task in zip(each, tasks, strict=True)
    ]


def status(process: subprocess.Popen) -> int:
    """Exit status; a worker that waits for others does not hear SIGTERM."""
    try:
        return process.wait(_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def logs(folder: Path) -> str:
    """The ends of all that was said."""
    return "\n".join(path.read_text()[-3000:] for path in sorted(folder.glob("*.log")))


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens at."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
