"""The files of one student that the candidates run: `python -m benchmarks.edge.student_files JSON`.

Weights are the initial ones, since speed does not depend on them. The BatchNorm statistics are
those of phantom slices, so that the ranges of the quantised files are sane.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import tfkd
from benchmarks.edge import CALIBRATION, COMPARED
from tfkd.distillation import recalibrate_batchnorm
from tfkd.export.quantization.file_form import file_form
from tfkd.inference import QUANTIZATIONS
from tfkd.phantom import write_phantom_cohort
from tfkd.volumes import PreprocessSpec, fit_image, read_volume, window

CLASSES = 3
_CALIBRATION_SLICES = 24
_COMPARED_SLICES = 4


def make(folder: str, student: str, size: int, formats: list[str]) -> dict[str, str]:
    """Makes the files.

    Args:
        folder: where to.
        student: name of a network, as of `tfkd.models.build`, with options that are to be true
            after it: "ENet+shared_slopes"; width 1.
        size: pixels of its input along y and x.
        formats: of `FORMATS`.

    Returns:
        The formats that could not be made, and why.
    """
    root = Path(folder)
    spec = PreprocessSpec(size=(size, size))
    slices = _phantom_slices(spec, _CALIBRATION_SLICES + _COMPARED_SLICES)
    calibration, compared = slices[_COMPARED_SLICES:], slices[:_COMPARED_SLICES]
    np.save(root / CALIBRATION, calibration)
    np.save(root / COMPARED, compared)
    keras.utils.set_random_seed(0)
    network, *chosen = student.split("+")
    options = dict.fromkeys(chosen, True)
    model = tfkd.models.build(network, spec.input_shape, CLASSES, 1.0, **options)
    recalibrate_batchnorm(model, [calibration[:8]])
    model.save(root / "student.keras")
    failed = {}
    for format_ in formats:
        try:
            FORMATS[format_](model, root, spec)
        except Exception as error:  # a package is missing or lacks an operator: the rest goes on
            failed[format_] = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    return failed


def _litert(quantization: str) -> Callable[[keras.Model, Path, PreprocessSpec], None]:
    def write(model: keras.Model, root: Path, spec: PreprocessSpec) -> None:
        tfkd.export.to_litert(
            # What a trained student becomes. Of one whose labels are near ties, the export may keep
            # slower operators for the sake of some more labels.
            file_form(model, quantization),
            root / f"student_{quantization}.tflite",
            quantization=quantization,
            calibration=np.load(root / CALIBRATION),
            spec=spec,
            min_agreement=0,  # the table states it
        )

    return write


def _onnx(model: keras.Model, root: Path, spec: PreprocessSpec) -> None:
    signature = [keras.InputSpec(shape=(1, *spec.input_shape), dtype="float32", name="image")]
    path = str(root / "student.onnx")
    model.export(path, format="onnx", input_signature=signature, verbose=False)


def _onnx_int8(model: keras.Model, root: Path, spec: PreprocessSpec) -> None:
    """Static, with an operator's scale for each channel, as ONNX Runtime's manual advises."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    calibration = np.load(root / CALIBRATION)

    class Slices(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter({"image": image[None]} for image in calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    prepared = root / "prepared.onnx"
    quant_pre_process(str(root / "student.onnx"), str(prepared))
    quantization.quantize_static(
        str(prepared),
        str(root / "student_int8.onnx"),
        Slices(),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
    )


# In the order in which they are made: the quantised ONNX file is made from the other.
FORMATS: dict[str, Callable[[keras.Model, Path, PreprocessSpec], None]] = {
    **{f"litert_{name}": _litert(name) for name in QUANTIZATIONS if name != "int8_mixed"},
    "onnx_float32": _onnx,
    "onnx_int8": _onnx_int8,
}


def _phantom_slices(spec: PreprocessSpec, count: int) -> np.ndarray:
    """(n, H, W, 1) float32, from the middle of two phantoms."""
    found = []
    with tempfile.TemporaryDirectory(prefix="tfkd-") as folder:
        write_phantom_cohort(folder, 2, shape_zyx=(count, 160, 160))
        for path in sorted(Path(folder).glob("volume-*")):
            ct = read_volume(path)
            for z in np.linspace(0.2, 0.8, count // 2) * (len(ct.array) - 1):
                image_hu = fit_image(ct.array[round(z)], spec, ct.spacing_mm[1:])
                found.append(window(image_hu, spec)[..., None])
    # Both phantoms among the first.
    return np.stack(found[::2] + found[1::2])


if __name__ == "__main__":
    said = os.dup(1)
    os.dup2(2, 1)  # converters talk; the answer alone goes to the caller
    answer = json.dumps(make(**json.loads(sys.argv[1])))
    os.write(said, answer.encode() + b"\n")
