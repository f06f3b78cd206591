"""Runs the benchmarks: `python -m benchmarks [--quick] [NAME …]`.

Times are medians in milliseconds, peaks of memory in MiB. A class may name `references`: each of
its other figures is then shown as a multiple of them (times) or beside the difference (memory).

Two are programs with options of their own: `python -m benchmarks edge --help`, an exported file
against other runtimes, and `python -m benchmarks volume --help`, a CT to its mask.
"""

import argparse
import importlib
import inspect
import itertools
import os
import statistics
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks.peak import peak_mib

MODULES = ("volumes", "losses", "distiller", "training", "memory")
PROGRAMS = {"edge": "benchmarks.edge.program", "volume": "benchmarks.edge.volume"}


def run(benchmark: type, repeats: int, quick: bool) -> None:
    """Measures every `time_*` and `peakmem_*` of a benchmark for every combination of `params`."""
    for values in _combinations(benchmark, quick):
        label = f"{benchmark.__name__}[{', '.join(map(str, values))}]"
        times = _times(benchmark, values, repeats, quick)
        for name, median in times.items():
            _print(f"{label}.{name}", f"{median:10.2f} ms", _ratios(benchmark, times, name))
        peaks = _peaks(benchmark, values, quick)
        for name, peak in peaks.items():
            _print(f"{label}.{name}", f"{peak:10.1f} MiB", _differences(benchmark, peaks, name))


def _times(benchmark: type, values: tuple[Any, ...], repeats: int, quick: bool) -> dict[str, float]:
    methods = _methods(benchmark, "time_")
    if not methods:
        return {}
    instance = benchmark()
    if quick:
        vars(instance).update(getattr(benchmark, "quick_values", {}))
    instance.setup(*values)
    times: dict[str, list[float]] = {name: [] for name in methods}
    for name in methods:
        getattr(instance, name)(*values)  # tracing and caches
    # In turn, so that a slow moment of the machine hits all alike.
    for _ in range(repeats):
        for name in methods:
            start = time.perf_counter()
            getattr(instance, name)(*values)
            times[name].append(1000 * (time.perf_counter() - start))
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    for name, parts in getattr(benchmark, "sums", {}).items():
        medians[name] = sum(medians[part] for part in parts)
    return medians


def _peaks(benchmark: type, values: tuple[Any, ...], quick: bool) -> dict[str, float]:
    methods = _methods(benchmark, "peakmem_")
    if quick:
        methods = [name for name in methods if name in benchmark.quick_methods]
    return {name: peak_mib(benchmark, name, values) for name in methods}


def _methods(benchmark: type, prefix: str) -> list[str]:
    return [name for name in vars(benchmark) if name.startswith(prefix)]


def _combinations(benchmark: type, quick: bool) -> list[tuple[Any, ...]]:
    """Values of the parameters, which are one list, or several to be combined."""
    params = benchmark.params
    lists = params if isinstance(params[0], (list, tuple)) else (params,)
    combinations = list(itertools.product(*lists))
    return [getattr(benchmark, "quick_params", combinations[0])] if quick else combinations


def _ratios(benchmark: type, times: dict[str, float], name: str) -> list[str]:
    references = [other for other in getattr(benchmark, "references", ()) if other in times]
    return [f"{times[name] / times[other]:6.2f} × {_short(other)}" for other in references]


def _differences(benchmark: type, peaks: dict[str, float], name: str) -> list[str]:
    references = [other for other in getattr(benchmark, "references", ()) if other in peaks]
    return [f"{peaks[name] - peaks[other]:+8.1f} to {_short(other)}" for other in references]


def _short(name: str) -> str:
    return name.removeprefix("time_").removeprefix("peakmem_")


def _print(name: str, figure: str, comparisons: list[str]) -> None:
    print(f"{name:48s} {figure}  {'  '.join(comparisons)}".rstrip(), flush=True)


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in PROGRAMS:
        importlib.import_module(PROGRAMS[arguments[0]]).main(arguments[1:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], help="which; all by default")
    parser.add_argument("--quick", action="store_true", help="once, with the smallest parameters")
    options = parser.parse_args(arguments)
    for name in options.modules or MODULES:
        module = importlib.import_module(f"benchmarks.{name}")
        for _, benchmark in inspect.getmembers(module, inspect.isclass):
            if benchmark.__module__ == module.__name__:
                run(benchmark, 1 if options.quick else 9, options.quick)


if __name__ == "__main__":
    main()
