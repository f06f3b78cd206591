"""What this process runs on, in words that name no host."""

import contextlib
import os
import platform
from pathlib import Path

__all__ = ["available_cores", "cpu_model", "machine_words"]


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """Name of the CPU; empty where the system does not say it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def machine_words() -> str:
    """System, cores and CPU, such as "Linux x86_64, 2 CPU cores (Some CPU)"."""
    words = f"{platform.system()} {platform.machine()}, {available_cores()} CPU cores"
    model = cpu_model()
    return f"{words} ({model})" if model else words
