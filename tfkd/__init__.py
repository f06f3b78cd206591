"""Distil a heavy CT segmentation network into a small one for an edge device, and prove it is good.

Names are loaded on first use, so that `import tfkd` and the command line do not import TensorFlow.
"""

import importlib
from typing import Any

from tfkd._version import __version__

__all__ = [
    "Distiller",
    "Predictor",
    "PreprocessSpec",
    "Volume",
    "__version__",
    "bench",
    "callbacks",
    "comparison",
    "distillation",
    "errors",
    "evaluation",
    "export",
    "inference",
    "losses",
    "methods",
    "metrics",
    "models",
    "phantom",
    "read_volume",
    "records",
    "report",
    "training",
    "volumes",
    "write_volume",
]

_HOME = {
    "Distiller": "tfkd.distillation",
    "Predictor": "tfkd.inference",
    "PreprocessSpec": "tfkd.volumes",
    "Volume": "tfkd.volumes",
    "read_volume": "tfkd.volumes",
    "write_volume": "tfkd.volumes",
    "methods": "tfkd.distillation",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in __all__:
        value = importlib.import_module(f"tfkd.{name}")
    else:
        raise AttributeError(f"module 'tfkd' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
