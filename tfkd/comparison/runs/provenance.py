"""Where a row was made, in words that name no host."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tfkd._version import __version__
from tfkd.inference.machine import machine_words

__all__ = ["provenance"]


def provenance() -> dict[str, Any]:
    """Machine, versions and date, for a row: times are compared on equal machines only."""
    import tensorflow as tf

    words = machine_words()
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
