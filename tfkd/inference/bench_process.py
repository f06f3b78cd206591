"""Measurements in fresh processes, so that no figure depends on what was measured before it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tfkd.errors import ContractError

__all__ = ["litert_benchmark_ms", "run_job"]

_LIMIT_S = 3600
_PACKAGE_FOLDER = Path(__file__).resolve().parents[2]


def run_job(job: str, **arguments: Any) -> dict[str, Any]:
    """Does a job of `bench_worker` in a new process.

    Args:
        job: its name.
        **arguments: what it takes, as JSON can hold it.

    Returns:
        What it found, and "wall_s", seconds from the start of the process to its answer.

    Raises:
        ContractError: the job ended with an error; its last line is in the message.
    """
    request = json.dumps({"job": job, **arguments})
    command = [sys.executable, "-m", "tfkd.inference.bench_worker", request]
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=_environment()
        ) as process:
            try:
                answer = process.stdout.readline() if process.stdout is not None else ""
                seconds = time.perf_counter() - start
                process.wait(_LIMIT_S)
            except BaseException:
                process.kill()
                raise
        said.seek(0)
        lines = said.read().strip().splitlines()
    if process.returncode or not answer:
        reason = lines[-1] if lines else f"exit status {process.returncode}"
        raise ContractError(
            f"{arguments.get('model')}: expected a figure from the measurement {job!r}, received "
            f"an error in its process: {reason}"
        )
    return {**json.loads(answer), "wall_s": seconds}


def litert_benchmark_ms(model: Path, threads: int, runs: int) -> float | None:
    """Return the median time of a slice by `litert-benchmark`, which comes with ai-edge-litert.

    It runs the file through LiteRT's newer interface (CompiledModel), with no Python around the
    call: a second opinion on the same file.

    Args:
        model: the `.tflite` file.
        threads: for the kernels.
        runs: timed calls.

    Returns:
        Milliseconds, or None where this version of ai-edge-litert has no such program or it fails.
    """
    with tempfile.TemporaryDirectory(prefix="tfkd-") as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model"]
        command += [f"--model={model}", f"--num_threads={threads}", f"--num_runs={runs}"]
        command += [f"--result_json={result}"]
        done = subprocess.run(command, capture_output=True, env=_environment(), check=False)
        try:
            figures = json.loads(result.read_text("utf-8"))
            return float(figures["latency"]["median_ms"]) if done.returncode == 0 else None
        except (OSError, ValueError, KeyError):
            return None


def _environment() -> dict[str, str]:
    """This package is found whatever the folder, and nothing but the answer is said."""
    paths = [str(_PACKAGE_FOLDER), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
