"""Converts in a process of its own what may take the process along."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from tfkd.errors import ExportError

__all__ = [
    "CALIBRATION_NAME",
    "ERROR_NAME",
    "FILE_NAME",
    "convert_in_child",
    "crashing_layers",
    "risky_layers",
]

# Files of the folder that parent and child share, beside the SavedModel.
CALIBRATION_NAME = "calibration.npy"
FILE_NAME = "converted.tflite"
ERROR_NAME = "error.txt"

_PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
# Above any conversion: a converter that hangs must not hang the caller.
_LIMIT_S = 1800.0

_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.TimeDistributed)
# Operations of `keras.ops` that become loops or branches.
_CONTROL = {"AssociativeScan", "Cond", "ForiLoop", "Map", "Scan", "Switch", "WhileLoop"}


def risky_layers(student: keras.Model) -> list[str]:
    """Layers that may end the converter's process when it takes ranges for integers.

    Those of `crashing_layers`, and Lambda and layers of other packages, which may hold anything.

    Args:
        student: Functional or Sequential model.

    Returns:
        Such as ``"'conv_lstm2d' (ConvLSTM2D)"``; empty for most students.
    """
    foreign = [
        _described(layer)
        for layer in student._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.Lambda)
        or not type(layer).__module__.startswith(("keras.", "tfkd."))
    ]
    return [*crashing_layers(student), *foreign]


def crashing_layers(student: keras.Model) -> list[str]:
    """Layers and operations with a loop or a branch, which are known to crash the calibrator.

    TensorFlow follows a loop's states to memory that is not there.

    Args:
        student: Functional or Sequential model.

    Returns:
        As `risky_layers`.
    """
    layers = list(student._flatten_layers(include_self=False))
    recurrent = [layer for layer in layers if isinstance(layer, _RECURRENT)]
    graphs = [student, *(layer for layer in layers if isinstance(layer, keras.Model))]
    operations = [one for graph in graphs for one in getattr(graph, "operations", ())]
    looping = [one for one in operations if type(one).__name__ in _CONTROL]
    return [_described(one) for one in (*recurrent, *looping)]


def _described(operation: keras.Operation) -> str:
    return f"{operation.name!r} ({type(operation).__name__})"


def convert_in_child(
    folder: str,
    quantization: str,
    calibration: np.ndarray | None,
    name: str,
    layers: Sequence[str],
    command: Sequence[str] = (sys.executable, "-P", "-m", "tfkd.export.convert_worker"),
) -> bytes:
    """Returns the file that a child process made of a SavedModel.

    Args:
        folder: Of the SavedModel; temporary files are added.
        quantization: As for `convert`.
        calibration: As for `convert`.
        name: Name of the student, for messages.
        layers: What `risky_layers` gave, for messages.
        command: The worker; `folder` and `quantization` are appended.

    Raises:
        ExportError: The process was ended by a signal, or took longer than half an hour: names the
            layers. Or it could not do its work for another reason.
        RuntimeError: The converter refused the student; with its words.
    """
    if calibration is not None:
        np.save(Path(folder, CALIBRATION_NAME), calibration)
    paths = [str(_PACKAGE_FOLDER), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        ended = subprocess.run(
            [*command, folder, quantization],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            timeout=_LIMIT_S,
            check=False,
        )
        status, said = ended.returncode, ended.stderr.strip().splitlines()
    except subprocess.TimeoutExpired:
        status, said = None, []
    error, file = Path(folder, ERROR_NAME), Path(folder, FILE_NAME)
    if error.exists():
        raise RuntimeError(error.read_text(encoding="utf-8"))
    if file.exists():
        return file.read_bytes()
    if status is not None and status >= 0:
        raise ExportError(
            f"Student {name!r} as {quantization}: expected a file of the converter's own process, "
            f"which ended with status {status} and none: {said[-1] if said else 'without a word'}."
        )
    if status is None:
        what = f"gave no file within {_LIMIT_S:g} s"
    else:
        what = f"crashed ({_signal_name(-status)})"
    raise ExportError(
        f"Student {name!r} as {quantization}: expected a file of the LiteRT converter, which "
        f"{what}. "
        f"Its integer ranges cannot be taken with these layers: {', '.join(layers[:3])}"
        f"{f' and {len(layers) - 3} more' if len(layers) > 3 else ''}. Export float32, float16 or "
        "dynamic_int8, or build the student without them."
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
