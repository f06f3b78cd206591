"""The ways to run a student that are compared, each as a function from an image to its logits.

Every one takes and gives float32 NumPy arrays, (1, H, W, C) to (1, H, W, K), so that all are timed
with what a program around them has to pay. A package is imported only by the candidate that needs
it, so that its memory is counted there and nowhere else.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.edge.without_amx import has_amx

__all__ = ["CANDIDATES", "COMPILED_KERAS", "REFERENCE", "Candidate", "Run", "with_variants"]

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Candidate:
    """One way to run a student.

    Attributes:
        name: in the table.
        load: (folder of `student_files`, threads) → function.
        file: what is shipped, in that folder.
        format: of `student_files.FORMATS` that it runs; None for the Keras model itself.
        without_amx: whether the process gets no AMX, on a processor that has it.
    """

    name: str
    load: Callable[[Path, int], Run]
    file: str
    format: str | None = None
    without_amx: bool = False


def _litert(folder: Path, threads: int, quantization: str) -> Run:
    from tfkd.inference import LiteRTModel

    return LiteRTModel(folder / f"student_{quantization}.tflite", threads)


def _keras(folder: Path, threads: int, how: str) -> Run:
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    model = keras.saving.load_model(folder / "student.keras", compile=False)
    if how == "predict_on_batch":
        return model.predict_on_batch
    shape = (1, *model.input_shape[1:])

    @tf.function(jit_compile=how == "xla", input_signature=[tf.TensorSpec(shape, tf.float32)])
    def compiled(image: tf.Tensor) -> tf.Tensor:
        return model(image, training=False)

    return lambda image: compiled(image).numpy()


def _onnx(folder: Path, threads: int, file: str) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / file), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def _torch(folder: Path, threads: int, compiled: bool) -> Run:
    """The same network on Keras's PyTorch backend, with the same weights.

    Its layers hand PyTorch views in channels-last memory, which PyTorch has kernels for.
    """
    os.environ["KERAS_BACKEND"] = "torch"
    import torch  # before Keras, whose message on its absence is longer

    torch.set_num_threads(threads)
    import keras

    import tfkd.models  # noqa: F401  # the classes in the file

    model = keras.saving.load_model(folder / "student.keras", compile=False)

    def forward(image: torch.Tensor) -> torch.Tensor:
        return model(image, training=False)

    if compiled:
        forward = torch.compile(forward)

    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return forward(torch.from_numpy(image)).numpy()

    return run


COMPILED_KERAS = ("Keras, tf.function", "Keras, XLA")
"""Of these the faster one is what the others are compared with."""

REFERENCE = "Keras, predict_on_batch"
"""Its labels are the right ones."""

_FILE = "student.keras"
_MODES = ("float32", "float16", "dynamic_int8", "int8", "int16x8")

_CANDIDATES: tuple[Candidate, ...] = (
    Candidate(REFERENCE, partial(_keras, how="predict_on_batch"), _FILE),
    Candidate(COMPILED_KERAS[0], partial(_keras, how="function"), _FILE),
    Candidate(COMPILED_KERAS[1], partial(_keras, how="xla"), _FILE),
    *(
        Candidate(
            f"tfkd, {mode}",
            partial(_litert, quantization=mode),
            f"student_{mode}.tflite",
            f"litert_{mode}",
        )
        for mode in _MODES
    ),
    Candidate(
        "ONNX Runtime, float32",
        partial(_onnx, file="student.onnx"),
        "student.onnx",
        "onnx_float32",
    ),
    Candidate(
        "ONNX Runtime, int8",
        partial(_onnx, file="student_int8.onnx"),
        "student_int8.onnx",
        "onnx_int8",
    ),
    Candidate("PyTorch, eager", partial(_torch, compiled=False), _FILE),
    Candidate("PyTorch, torch.compile", partial(_torch, compiled=True), _FILE),
)

# The kernels of these use AMX, where it is.
_OF_AMX = ("tfkd, dynamic_int8", "tfkd, int8", "ONNX Runtime, int8")


def with_variants(amx: bool) -> Iterator[Candidate]:
    """The candidates; on a processor with AMX, those that use it also without."""
    for each in _CANDIDATES:
        yield each
        if amx and each.name in _OF_AMX:
            yield replace(each, name=f"{each.name}, no AMX", without_amx=True)


CANDIDATES: dict[str, Candidate] = {each.name: each for each in with_variants(has_amx())}
