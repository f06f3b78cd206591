"""Runs the benchmarks: `python -m benchmarks [--quick] [NAME …]`; medians in milliseconds."""

import argparse
import importlib
import inspect
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

MODULES = ("volumes", "losses", "distiller")


def run(benchmark: type, repeats: int, quick: bool) -> None:
    """Times every `time_*` method of a benchmark for every parameter."""
    params = benchmark.params[:1] if quick else benchmark.params
    for value in params:
        instance = benchmark()
        instance.setup(value)
        methods = [name for name in dir(instance) if name.startswith("time_")]
        times: dict[str, list[float]] = {name: [] for name in methods}
        for name in methods:
            getattr(instance, name)(value)  # tracing and caches
        # In turn, so that a slow moment of the machine hits all alike.
        for _ in range(repeats):
            for name in methods:
                start = time.perf_counter()
                getattr(instance, name)(value)
                times[name].append(1000 * (time.perf_counter() - start))
        medians = {name: statistics.median(values) for name, values in times.items()}
        reference = medians.get(getattr(benchmark, "reference", ""))
        for name, median in medians.items():
            ratio = f"{median / reference:8.2f} x" if reference else ""
            print(f"{benchmark.__name__}[{value}].{name:32s} {median:10.2f} ms {ratio}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], help="which; all by default")
    parser.add_argument("--quick", action="store_true", help="once, with the smallest parameter")
    options = parser.parse_args(arguments)
    for name in options.modules or MODULES:
        module = importlib.import_module(f"benchmarks.{name}")
        for _, benchmark in inspect.getmembers(module, inspect.isclass):
            if benchmark.__module__ == module.__name__:
                run(benchmark, 1 if options.quick else 9, options.quick)


if __name__ == "__main__":
    main()
