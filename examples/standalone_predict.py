"""Segments CT slices with an exported student: only NumPy and ai-edge-litert, without tfkd.

python standalone_predict.py student.tflite slices.npy mask.npy

`slices.npy` holds Hounsfield units, (Z, H, W), in the network's own size: "spec" → "size" of
student.json. Slices of another size are to be resized first (and the mask back), as tfkd does.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def window(hu: np.ndarray, spec: dict) -> np.ndarray:
    """Clips to the window and maps it to the network's range; float32, as in the training."""
    low, high = np.float32(spec["window_hu"])
    bottom, top = spec["output_range"]
    scale = np.float32((top - bottom) / (spec["window_hu"][1] - spec["window_hu"][0]))
    return (np.clip(hu.astype(np.float32), low, high) - low) * scale + np.float32(bottom)


def predict(model: Path, slices_hu: np.ndarray) -> np.ndarray:
    """Returns the labels, (Z, H, W) uint8; their names are in student.json."""
    contract = json.loads(model.with_suffix(".json").read_text("utf-8"))
    spec, source, target = contract["spec"], contract["input"], contract["output"]
    if contract["schema_version"] not in (1, 2) or slices_hu.shape[1:] != tuple(spec["size"]):
        raise SystemExit(
            f"Expected a contract of version 1 or 2 and slices of {spec['size']}. Received "
            f"version {contract['schema_version']} and slices of {slices_hu.shape[1:]}."
        )
    slices_hu = np.maximum(slices_hu, -1024)  # air
    context, last = spec["context_slices"], len(slices_hu) - 1
    interpreter = Interpreter(str(model), num_threads=os.cpu_count())
    run = interpreter.get_signature_runner("serving_default")
    mask = np.empty(slices_hu.shape, np.uint8)
    for z in range(len(slices_hu)):
        around = np.clip(range(z - context, z + context + 1), 0, last)  # ends are repeated
        image = window(np.stack(slices_hu[around], axis=-1), spec)[None]
        if source["scale"] is not None:  # int8: a real number is scale · (stored − zero point)
            steps = np.rint(image / np.float32(source["scale"])) + source["zero_point"]
            image = np.clip(steps, -128, 127).astype(np.int8)
        logits = run(**{source["name"]: image})[target["name"]][0].astype(np.float32)
        if target["scale"] is not None:
            logits = (logits - target["zero_point"]) * np.float32(target["scale"])
        if threshold := contract.get("threshold"):  # of two classes
            logits[..., 1] += np.float32(np.log((1 - threshold) / threshold))
        mask[z] = logits.argmax(axis=-1)
    return mask


if __name__ == "__main__":
    np.save(sys.argv[3], predict(Path(sys.argv[1]), np.load(sys.argv[2])))
