"""The int8 file of a student: how large it is and how fast."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd.errors import ExportError

if TYPE_CHECKING:
    import keras
    import numpy as np

    from tfkd.records import Manifest

__all__ = ["measure_int8"]

_REPEATS = 30


def measure_int8(
    network: "keras.Model",
    path: Path,
    manifest: "Manifest",
    calibration: "np.ndarray",
    threads: int,
) -> dict[str, Any]:
    """Exports a student and measures the file.

    Args:
        network: The student.
        path: File to write, `.tflite`.
        manifest: Manifest of the records.
        calibration: Training slices (n, H, W, C), as the network takes them.
        threads: Threads for the time.

    Returns:
        `bytes`, `ms_per_slice` (median, batch 1), `threads`, and `agreement`, the share of pixels
        with the label that Keras gives; `slow_because`, where operators with slow kernels were
        kept; or `error`, why there is no file.
    """
    from tfkd.evaluation import time_per_slice_ms
    from tfkd.export import to_litert
    from tfkd.inference import LiteRTModel

    try:
        result = to_litert(
            network,
            path,
            quantization="int8",
            calibration=calibration,
            spec=manifest.spec,
            label_names=manifest.label_names,
            threshold=manifest.protocol.threshold,
            # Whether it is good enough to be used is not for a comparison to say.
            min_agreement=0.0,
        )
    except ExportError as error:
        return {"error": str(error)}
    runtime = LiteRTModel(path, threads=threads)
    milliseconds = time_per_slice_ms(runtime, manifest.spec.input_shape, repeats=_REPEATS)
    return {
        "bytes": result.size_bytes,
        "ms_per_slice": round(milliseconds, 3),
        "threads": threads,
        "agreement": round(result.agreement, 6),
        **({"slow_because": result.slow_because} if result.slow_because else {}),
    }
