"""One measurement in a process of its own: `python -m tfkd.bench.worker JSON`."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.inference.file_prediction import predict_file
from tfkd.inference.predictor import Predictor
from tfkd.inference.runtime import LiteRTModel
from tfkd.volumes import NiftiSlices

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Does one job and prints what it found as one line of JSON.

    Args:
        arguments: one JSON object: the function's name as "job", and its arguments.
    """
    (text,) = sys.argv[1:] if arguments is None else arguments
    request = json.loads(text)
    result = _JOBS[request.pop("job")](**request)
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def _slices(model: str, threads: int, runs: int, warmup: int) -> dict[str, Any]:
    """Times slices, one by one; the memory is what loading and running the file adds."""
    before = _resident_bytes()
    runtime = LiteRTModel(model, threads)
    image = np.random.default_rng(0).uniform(-1, 1, runtime.input.shape).astype(np.float32)
    for _ in range(warmup):
        runtime(image)
    times = []
    work = time.process_time()
    for _ in range(runs):
        start = time.perf_counter()
        runtime(image)
        times.append(1000 * (time.perf_counter() - start))
    work = time.process_time() - work
    after = _peak_bytes()
    return {
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "cpu_ms": 1000 * work / runs,
        "peak_bytes": after,
        "added_bytes": None if before is None or after is None else max(0, after - before),
    }


def _volume(model: str, threads: int, ct: str) -> dict[str, Any]:
    """Times a CT's file to its mask's; the memory is that of the whole process."""
    predictor = Predictor(model, threads)
    with tempfile.TemporaryDirectory(prefix="tfkd-") as folder:
        result = predict_file(predictor, NiftiSlices(ct), Path(folder) / "mask.nii.gz")
    return {
        "seconds": result.seconds,
        "shape": result.shape_zyx,
        "peak_bytes": _peak_bytes(),
    }


def _first_mask(model: str, threads: int) -> dict[str, Any]:
    """Makes one mask; whoever started the process takes the time."""
    predictor = Predictor(model, threads)
    predictor.predict_slice(predictor.contract.golden.image_hu)
    return {}


_JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "slices": _slices,
    "volume": _volume,
    "first_mask": _first_mask,
}


def _peak_bytes() -> int | None:
    """Largest resident set of this process so far; None where the system does not say it."""
    # Not `getrusage` on Linux, whose peak takes over that of the process that started this one.
    in_status = _status_bytes("VmHWM")
    if in_status is not None:
        return in_status
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _resident_bytes() -> int | None:
    """Resident set of this process now."""
    return _status_bytes("VmRSS")


def _status_bytes(field: str) -> int | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    for line in status.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    return None


if __name__ == "__main__":
    main()
