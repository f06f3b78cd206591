"""Peak memory of one method: `python -m benchmarks.peak MODULE CLASS METHOD ARGUMENTS`."""

import ast
import importlib
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any


def peak_mib(benchmark: type, method: str, values: tuple[Any, ...]) -> float:
    """Runs `setup` and the method in a process of its own; the peak of its resident memory."""
    names = (benchmark.__module__, benchmark.__name__, method, repr(values))
    command = [sys.executable, "-m", "benchmarks.peak", *names]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr[-3000:]}")
    return float(result.stdout.split()[-1])


def own_peak_mib() -> float:
    """Peak of this process's resident memory so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not `getrusage`: on Linux its peak takes over that of the process that started this one.
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


if __name__ == "__main__":
    module, name, method, values = sys.argv[1:]
    instance = getattr(importlib.import_module(module), name)()
    arguments = ast.literal_eval(values)
    instance.setup(*arguments)
    getattr(instance, method)(*arguments)
    print(own_peak_mib())
