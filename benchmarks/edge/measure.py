"""All candidates on one student, in processes of their own that take turns."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.edge.candidates import CANDIDATES, COMPILED_KERAS, REFERENCE

__all__ = ["make_files", "measure"]

_ROOT = Path(__file__).resolve().parents[2]
# For a start: torch.compile calls a C++ compiler. A process that hangs must not hang the caller.
_LIMIT_S = 300.0
# After a turn the threads of some runtimes spin for a while, on cores that the next one needs.
_REST_S = 0.1

Progress = Callable[[str], None]


def make_files(folder: Path, student: str, size: int, candidates: Sequence[str]) -> dict[str, str]:
    """Makes what the candidates run, in a process of its own.

    Returns:
        Formats that could not be made, and why.

    Raises:
        RuntimeError: Nothing could be made.
    """
    wanted = {CANDIDATES[name].format for name in candidates} - {None}
    if "onnx_int8" in wanted:
        wanted.add("onnx_float32")
    formats = sorted(wanted)  # onnx_float32 before onnx_int8, which is made from it
    request = json.dumps(
        {"folder": str(folder), "student": student, "size": size, "formats": formats}
    )
    command = [sys.executable, "-m", "benchmarks.edge.student_files", request]
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"The files of {student} were not made:\n{result.stderr[-3000:]}")
    return json.loads(result.stdout)


def measure(
    folder: Path,
    threads: int,
    candidates: Sequence[str],
    *,
    rounds: int,
    seconds: float,
    failed: dict[str, str],
    progress: Progress,
) -> list[dict[str, Any]]:
    """Measures the candidates on the files of `make_files`.

    Args:
        folder: Of the files.
        threads: For each candidate.
        candidates: Names, `REFERENCE` and `COMPILED_KERAS` among them if there is to be agreement
            and a ratio.
        rounds: Turns of each candidate.
        seconds: A turn's length, about; three slices at least.
        failed: What `make_files` gave.
        progress: Told what is next.

    Returns:
        A row for each candidate: "candidate", "ms_median", "ms_p95", "cpu_ms" (processor time of a
        slice, all threads together), "runs", "size_bytes", "peak_mib", "agreement" (share of pixels
        with the label that Keras gives), "speedup" (of the faster compiled Keras model's time) and
        "size_ratio" (to the Keras file), or "candidate" and "error".
    """
    rows: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        workers: dict[str, _Worker] = {}
        for name in candidates:
            file_error = failed.get(CANDIDATES[name].format or "")
            if file_error:
                rows[name] = {"candidate": name, "error": file_error}
            else:
                # All start at once, which is not timed, and only then take turns.
                workers[name] = stack.enter_context(_Worker(name, folder, threads))
        for name, worker in list(workers.items()):
            progress(f"{name}: start")
            try:
                worker.wait_until_ready()
            except _CandidateError as error:
                rows[name] = {"candidate": name, "error": str(error)}
                del workers[name]
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
        for turn in range(rounds):
            for name, worker in list(workers.items()):
                progress(f"round {turn + 1} of {rounds}: {name}")
                time.sleep(_REST_S)
                try:
                    turns[name].append(worker.ask(str(seconds)))
                except _CandidateError as error:
                    rows[name] = {"candidate": name, "error": str(error)}
                    del workers[name]
        for name, worker in workers.items():
            try:
                peak_mib = worker.ask("end")["peak_mib"]
            except _CandidateError as error:
                rows[name] = {"candidate": name, "error": str(error)}
                continue
            rows[name] = _row(name, folder, turns[name], peak_mib, worker.labels)
    _compare(rows, folder)
    return [rows[name] for name in candidates]


def _row(
    name: str, folder: Path, turns: list[dict[str, Any]], peak_mib: float, labels: Path
) -> dict[str, Any]:
    ms = np.concatenate([turn["ms"] for turn in turns])
    return {
        "candidate": name,
        "ms_median": float(np.median(ms)),
        "ms_p95": float(np.percentile(ms, 95)),
        "cpu_ms": sum(turn["cpu_ms"] for turn in turns) / len(ms),
        "runs": len(ms),
        "size_bytes": (folder / CANDIDATES[name].file).stat().st_size,
        "peak_mib": peak_mib,
        "labels": np.load(labels),
    }


def _compare(rows: dict[str, dict[str, Any]], folder: Path) -> None:
    """Adds agreement, speed-up and ratio of sizes; None where there is nothing to compare with."""
    done = {name: row for name, row in rows.items() if "error" not in row}
    right = done[REFERENCE]["labels"] if REFERENCE in done else None
    compiled = [done[name]["ms_median"] for name in COMPILED_KERAS if name in done]
    keras_bytes = (folder / CANDIDATES[REFERENCE].file).stat().st_size
    for row in done.values():
        labels = row.pop("labels")
        row["agreement"] = None if right is None else float(np.mean(labels == right))
        row["speedup"] = min(compiled) / row["ms_median"] if compiled else None
        row["size_ratio"] = row["size_bytes"] / keras_bytes


class _CandidateError(Exception):
    """A candidate does not run here."""


class _Worker:
    """A process of `benchmarks.edge.worker`."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        key = f"labels_{list(CANDIDATES).index(name)}"
        request = {"candidate": name, "folder": str(folder), "threads": threads, "labels": key}
        self.labels = folder / f"{key}.npy"
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in `__exit__`
        command = [sys.executable, "-m", "benchmarks.edge.worker", json.dumps(request)]
        self._process = subprocess.Popen(
            command,
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Returns when the candidate has run its first slices.

        Raises:
            _CandidateError: It does not run.
        """
        self._answer()

    def ask(self, line: str) -> dict[str, Any]:
        """Sends a line and returns the answer.

        Raises:
            _CandidateError: The process ended, or did not answer in time.
        """
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise _CandidateError(self._reason()) from error
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        # `readline` knows no limit of its own; without the process it ends.
        ended = threading.Event()

        def end() -> None:
            ended.set()
            self._process.kill()

        watch = threading.Timer(_LIMIT_S, end)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if ended.is_set():
            raise _CandidateError(f"no answer within {_LIMIT_S:g} s")
        if not line:
            raise _CandidateError(self._reason())
        return json.loads(line)

    def _reason(self) -> str:
        status = self._process.wait()
        self._said.seek(0)
        lines = [line.strip() for line in self._said.read().splitlines() if line.strip()]
        # Of a traceback the first line that is not indented names the error.
        errors = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception"))]
        return (errors or lines or [f"exit status {status}"])[-1][:300]

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()
