"""What a bundle costs on this machine: time, memory, start, size."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.bench.operator_times import OperatorTime, time_operators
from tfkd.bench.process import litert_benchmark_ms, run_job
from tfkd.inference.bundle import open_bundle
from tfkd.inference.contract import Contract
from tfkd.inference.machine import available_cores, machine_words
from tfkd.volumes import Volume, canonical_affine, write_volume

__all__ = ["BenchResult", "bench", "synthetic_ct"]

# Processes that are started for the cold start; their median is taken.
_STARTS = 3


@dataclass(frozen=True)
class BenchResult:
    """What a bundle costs on this machine.

    Attributes:
        name: of the bundle, without its folder.
        quantization: of its file.
        input_shape: (H, W, C) of a slice.
        size_bytes: of the model file.
        threads: for the kernels, in all but `slices_per_s`.
        runs: timed slices.
        ms_median: time of a slice, batch 1, milliseconds.
        ms_p95: that which 95 % of the slices do not exceed.
        cpu_ms: processor time of a slice, all threads together: what is left of it where other
            processes take the cores.
        slices_per_s: threads → slices per second, from the median.
        volume_shape: (Z, Y, X) of the CT.
        volume_s: file of the CT to file of the mask, seconds; the model is loaded already.
        cold_start_s: start of a process to its first mask, seconds, imports included.
        ram_model_bytes: largest resident set of a process that runs slices; None where the system
            does not say it.
        ram_volume_bytes: that of a process that segments the CT's file.
        litert_benchmark_ms: median of `litert-benchmark`; None where there is none.
        operators: where the time goes, if asked for.
        machine: in words.
    """

    name: str
    quantization: str
    input_shape: tuple[int, int, int]
    size_bytes: int
    threads: int
    runs: int
    ms_median: float
    ms_p95: float
    cpu_ms: float
    slices_per_s: dict[int, float]
    volume_shape: tuple[int, int, int]
    volume_s: float
    cold_start_s: float
    ram_model_bytes: int | None
    ram_volume_bytes: int | None
    litert_benchmark_ms: float | None
    operators: tuple[OperatorTime, ...] | None
    machine: str


def bench(
    path: str | Path,
    *,
    threads: int | None = None,
    runs: int = 100,
    warmup: int = 10,
    ct: str | Path | None = None,
    slices: int = 64,
    size: int = 512,
    operators: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> BenchResult:
    """Measure a bundle, each figure in a fresh process so that none disturbs another.

    The operators alone are timed in this process: in processor time, one by one.

    Args:
        path: bundle, as `open_bundle` takes it.
        threads: for the kernels; None takes the cores this process may use.
        runs: timed slices, at least 1.
        warmup: slices before them.
        ct: CT for the time of a volume, NIfTI; None takes a made-up one.
        slices: of the made-up CT, at least 1.
        size: of its slices, pixels, at least 1.
        operators: whether to time the operators one by one, too.
        progress: called with (steps done, steps in all, what is next).

    Raises:
        ContractError: no bundle, or one that does not run here.
        ValueError: a number below 1.
    """
    cores = available_cores()
    threads = cores if threads is None else threads
    numbers = {"threads": threads, "runs": runs, "slices": slices, "size": size}
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name}: expected at least 1, received {number}.")
    if ct is not None and not Path(ct).is_file():
        raise FileNotFoundError(f"{ct}: expected a CT, found none. Check the path.")
    path = Path(path)
    counts = sorted({threads, *_thread_counts(cores)})
    total = len(counts) + _STARTS + 2 + operators
    done = 0

    def next_is(text: str) -> None:
        nonlocal done
        if progress is not None:
            progress(done, total, text)
        done += 1

    with open_bundle(path) as model:
        contract = Contract.load(model)
        by_threads = {}
        for count in counts:
            next_is(f"{path.name}: slices, {count} threads")
            by_threads[count] = run_job(
                "slices", model=str(model), threads=count, runs=runs, warmup=warmup
            )
        starts = []
        for _ in range(_STARTS):
            next_is(f"{path.name}: cold start")
            start = run_job("first_mask", model=str(path), threads=threads)
            starts.append(start["wall_s"])
        next_is(f"{path.name}: volume")
        with _ct_file(ct, slices, size) as file:
            volume = run_job("volume", model=str(model), threads=threads, ct=str(file))
        next_is(f"{path.name}: litert-benchmark")
        other_ms = litert_benchmark_ms(model, threads, runs)
        times = None
        if operators:
            next_is(f"{path.name}: operators")
            times = time_operators(model)
    if progress is not None:
        progress(total, total, "")
    own = by_threads[threads]
    return BenchResult(
        name=path.name,
        quantization=contract.quantization,
        input_shape=contract.spec.input_shape,
        size_bytes=contract.size_bytes,
        threads=threads,
        runs=runs,
        ms_median=own["median_ms"],
        ms_p95=own["p95_ms"],
        cpu_ms=own["cpu_ms"],
        slices_per_s={count: 1000 / each["median_ms"] for count, each in by_threads.items()},
        volume_shape=tuple(volume["shape"]),
        volume_s=volume["seconds"],
        cold_start_s=sorted(starts)[len(starts) // 2],
        ram_model_bytes=own["peak_bytes"],
        ram_volume_bytes=volume["peak_bytes"],
        litert_benchmark_ms=other_ms,
        operators=times,
        machine=machine_words(),
    )


@contextlib.contextmanager
def _ct_file(ct: str | Path | None, slices: int, size: int) -> Iterator[Path]:
    """Give the CT, or a made-up one for the length of the block."""
    if ct is not None:
        yield Path(ct)
        return
    with tempfile.TemporaryDirectory(prefix="tfkd-") as folder:
        file = Path(folder) / "ct.nii.gz"
        write_volume(synthetic_ct(slices, size), file)
        yield file


def synthetic_ct(slices: int, size: int) -> Volume:
    """Return a body of soft tissue with noise in air: what it shows costs no time, only its size.

    Args:
        slices: along z.
        size: along y and x, pixels.
    """
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    body = axis[:, None] ** 2 / 0.5 + axis**2 / 0.8 < 1
    noise = np.random.default_rng(0).normal(0, 20, (size, size))
    one = np.where(body, 50, -1000) + noise
    array = np.repeat(one[None].astype(np.int16), slices, axis=0)
    spacing_mm = (2.5, 400.0 / size, 400.0 / size)
    return Volume(array, canonical_affine(spacing_mm), "synthetic")


def _thread_counts(cores: int) -> list[int]:
    """1, 2, 4, … and all cores."""
    counts = [1]
    while 2 * counts[-1] <= cores:
        counts.append(2 * counts[-1])
    return sorted({*counts, cores})
