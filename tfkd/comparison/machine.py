"""Where a row was made, in words that name no host."""

import contextlib
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tfkd._version import __version__

__all__ = ["circumstances"]


def circumstances() -> dict[str, Any]:
    """Machine, versions and date, for a row: times are compared on equal machines only."""
    import tensorflow as tf

    words = f"{platform.system()} {platform.machine()}, {_cores()} CPU cores"
    if model := _cpu_model():
        words += f" ({model})"
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        words += f", {details.get('device_name', 'GPU')}"
    versions = {"tfkd": __version__, "python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy", "ai-edge-litert"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # under another name, such as tensorflow-cpu
            versions[name] = "unknown"
    return {
        "machine": words,
        "versions": versions,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    """Name of the CPU; empty where the system does not say it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
