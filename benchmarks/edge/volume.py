"""A CT's file to its mask's with `tfkd predict`, cold, and the masks of files and Keras student.

Seconds are those of a whole process, imports included. The share of inference is that of the time
in which the network ran. Dice is of whole volumes, label by label, before any post-processing: of
the first file to the Keras student, of the others to the first file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.edge.table import facts
from tfkd.inference import Contract, open_bundle
from tfkd.metrics import dice_per_class
from tfkd.volumes import atomic_path, read_volume

__all__ = ["main", "volume_dice"]

_ROOT = Path(__file__).resolve().parents[2]
_EXAMPLE = "example: python -m benchmarks volume ct.nii.gz student.keras float32.tflite int8.tflite"


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints a table and writes the figures if asked to."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds: expected at least 1, received {options.rounds}.")
    about = {**facts(), "load at the start": f"{os.getloadavg()[0]:.1f}"}
    with tempfile.TemporaryDirectory(prefix="tfkd-") as folder:
        masks = [Path(folder) / f"mask_{index}.nii.gz" for index in range(len(options.files))]
        found: list[list[dict[str, float]]] = [[] for _ in options.files]
        for turn in range(options.rounds):
            # In turn, so that a slow moment of the machine hits all alike.
            for file, mask, of_file in zip(options.files, masks, found, strict=True):
                _say(f"round {turn + 1} of {options.rounds}: {file.name}")
                of_file.append(_predict(file, options.ct, mask, options.threads))
        _say("Keras student")
        arrays = [read_volume(mask, kind="mask").array for mask in masks]
        with open_bundle(options.files[0]) as model:
            contract = Contract.load(model)
        of_keras = _keras_mask(options.student, options.ct, contract)
        others = [of_keras, *[arrays[0]] * (len(arrays) - 1)]
    rows = [
        {
            "file": file.name,
            **{key: median(each[key] for each in of_file) for key in of_file[0]},
            "dice": volume_dice(mask, other, contract.label_names),
            "dice_with": "Keras student" if index == 0 else options.files[0].name,
        }
        for index, (file, of_file, mask, other) in enumerate(
            zip(options.files, found, arrays, others, strict=True)
        )
    ]
    shape = arrays[0].shape
    print(_markdown(rows, about, shape), end="")
    if options.out:
        with atomic_path(options.out) as temporary:
            document = {"about": about, "shape_zyx": shape, "rows": rows}
            temporary.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def volume_dice(
    mask: np.ndarray, other: np.ndarray, label_names: Sequence[str]
) -> dict[str, float | None]:
    """Return Dice of each foreground label; None for one that is in neither mask.

    Args:
        mask: (Z, Y, X) uint8.
        other: the same.
        label_names: index = label value; the first is the background.
    """
    dice = dice_per_class(other, mask, len(label_names))[1:]
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(label_names[1:], dice, strict=True)
    }


def _predict(file: Path, ct: Path, mask: Path, threads: int | None) -> dict[str, float]:
    """One process from its start to its end."""
    command = [sys.executable, "-m", "benchmarks.edge.predict_process"]
    command += [str(file.resolve()), str(ct.resolve()), "-o", str(mask), "--overwrite"]
    command += ["--no-postprocessing", *(["--threads", str(threads)] if threads else [])]
    began_at, start = time.time(), time.perf_counter()
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if result.returncode:
        raise RuntimeError(f"tfkd predict of {file} failed:\n{result.stderr[-3000:]}")
    found = json.loads(result.stdout.strip().splitlines()[-1])
    return {
        "seconds": seconds,
        "first_s": found["first_at"] - began_at,
        "inference_s": found["inference_s"],
        "share": found["inference_s"] / seconds,
        "peak_mib": found["peak_mib"],
    }


def _keras_mask(student: Path, ct: Path, contract: Contract) -> np.ndarray:
    import keras

    from tfkd.export import keras_predictor

    model = keras.saving.load_model(student, compile=False)
    predictor = keras_predictor(
        model, contract.spec, contract.label_names, threshold=contract.threshold
    )
    return predictor(read_volume(ct)).array


def _markdown(rows: Sequence[dict[str, Any]], about: dict[str, str], shape: tuple[int, ...]) -> str:
    said = ", ".join(f"{key} {value}" for key, value in about.items() if key != "machine")
    lines = [
        f"{about['machine']}; {said}. {' × '.join(map(str, shape))} voxels, file to file.",
        "",
        "| file | seconds | until the first slice | inference | share | peak MiB | smallest Dice |",
        "| --- |" + " ---: |" * 6,
    ]
    for row in rows:
        known = [(value, name) for name, value in row["dice"].items() if value is not None]
        worst = "–"
        if known:
            worst = f"{min(known)[0]:.4f} ({min(known)[1]}), with {row['dice_with']}"
        lines.append(
            f"| {row['file']} | {row['seconds']:.2f} | {row['first_s']:.2f} "
            f"| {row['inference_s']:.2f} | {row['share']:.0%} | {row['peak_mib']:.0f} | {worst} |"
        )
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks volume",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ct", type=Path, help="CT, NIfTI")
    parser.add_argument("student", type=Path, help="Keras student that the files were made from")
    parser.add_argument("files", type=Path, nargs="+", help=".tflite files or bundles; float first")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each file")
    parser.add_argument("--threads", type=int, help="all cores when left out")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    return parser


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
