"""Teacher and student networks: Functional Keras models that return logits.

Names are loaded on first use, so that the list of networks costs no import of TensorFlow.
"""

import importlib
from typing import Any

from tfkd.models.fingerprint import fingerprint
from tfkd.models.zoo import STUDENTS, TEACHERS, build

__all__ = [
    "STUDENTS",
    "TAPS",
    "TEACHERS",
    "ENet",
    "ESPNet",
    "MobileNetV2",
    "PSPNet",
    "RAUNet",
    "ResNet18",
    "UNet",
    "UNetPlusPlus",
    "as_float32",
    "build",
    "check_finite_weights",
    "check_logits",
    "check_network",
    "count_macs",
    "facts_of",
    "fingerprint",
    "load_network",
    "save_network",
    "set_facts",
    "with_taps",
]

_HOME = {
    "TAPS": "tfkd.models.taps",
    "as_float32": "tfkd.models.precision",
    "check_finite_weights": "tfkd.models.logits",
    "check_logits": "tfkd.models.logits",
    "check_network": "tfkd.models.checking",
    "count_macs": "tfkd.models.macs",
    "facts_of": "tfkd.models.network_file",
    "load_network": "tfkd.models.network_file",
    "save_network": "tfkd.models.network_file",
    "set_facts": "tfkd.models.network_file",
    "with_taps": "tfkd.models.taps",
    **{name: "tfkd.models.teachers" for name in TEACHERS},
    **{name: "tfkd.models.students" for name in STUDENTS},
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tfkd.models' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
