"""Measurements in fresh processes, so that no figure depends on what was measured before it."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tfkd.errors import ContractError

__all__ = ["litert_benchmark_ms", "run_job"]

# Far above any measurement: a process that hangs must not hang the caller.
_LIMIT_S = 3600.0
_PACKAGE_FOLDER = Path(__file__).resolve().parents[2]


def run_job(job: str, **arguments: Any) -> dict[str, Any]:
    """Does a job of `tfkd.bench.worker` in a new process.

    Args:
        job: its name.
        **arguments: what it takes, as JSON can hold it.

    Returns:
        What it found, and "wall_s", seconds from the start of the process to its answer.

    Raises:
        ContractError: the job ended with an error, whose last line is in the message, gave no
            figures, or took longer than an hour.
    """
    request = json.dumps({"job": job, **arguments})
    command = [sys.executable, "-m", "tfkd.bench.worker", request]
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=_environment()
        ) as process:
            # `readline` knows no limit of its own; without the process it ends.
            ended = threading.Event()

            def end() -> None:
                ended.set()
                process.kill()

            watch = threading.Timer(_LIMIT_S, end)
            watch.start()
            try:
                answer = process.stdout.readline() if process.stdout is not None else ""
                seconds = time.perf_counter() - start
                process.wait()
            except BaseException:
                process.kill()
                raise
            finally:
                watch.cancel()
        said.seek(0)
        lines = said.read().strip().splitlines()
    reason = None
    if ended.is_set():
        reason = f"no answer within {_LIMIT_S:g} s"
    elif process.returncode or not answer:
        reason = lines[-1] if lines else f"exit status {process.returncode}"
    try:
        figures = {} if reason else {**json.loads(answer), "wall_s": seconds}
    except (ValueError, TypeError):
        reason = f"an answer that is no JSON object: {answer[:80]!r}"
    if reason:
        raise ContractError(
            f"{arguments.get('model')}: expected a figure from the measurement {job!r}, received "
            f"an error in its process: {reason}"
        )
    return figures


def litert_benchmark_ms(model: Path, threads: int, runs: int) -> float | None:
    """Return the median time of a slice by `litert-benchmark`, which comes with ai-edge-litert.

    It runs the file through LiteRT's newer interface (CompiledModel), with no Python around the
    call: a second opinion on the same file.

    Args:
        model: the `.tflite` file.
        threads: for the kernels.
        runs: timed calls.

    Returns:
        Milliseconds, or None where this version of ai-edge-litert has no such program, or where it
        fails, takes longer than an hour or gives something else.
    """
    with tempfile.TemporaryDirectory(prefix="tfkd-") as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model"]
        command += [f"--model={model}", f"--num_threads={threads}", f"--num_runs={runs}"]
        command += [f"--result_json={result}"]
        try:
            done = subprocess.run(
                command, capture_output=True, env=_environment(), check=False, timeout=_LIMIT_S
            )
            figures = json.loads(result.read_text("utf-8"))
            return float(figures["latency"]["median_ms"]) if done.returncode == 0 else None
        except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired):
            return None


def _environment() -> dict[str, str]:
    """This package is found whatever the folder, and nothing but the answer is said."""
    paths = [str(_PACKAGE_FOLDER), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
