"""A LiteRT file behind plain float32 arrays."""

import math
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import ContractError
from tfkd.inference.machine import available_cores
from tfkd.inference.model_tensor import ModelTensor

__all__ = ["LiteRTModel"]

SIGNATURE = "serving_default"

_MOST_WORKERS = 8

# Of the logits of one batch, of which a few lie in memory at once. Two images of 512 x 512 with 14
# classes are 29 MB.
_BATCH_BYTES = 32 * 2**20


class LiteRTModel:
    """Runs a `.tflite` file: float32 in, float32 out, quantised in between where the file wants it.

    It knows nothing of contracts; `Predictor` does. It may be called from several threads: a
    call waits until the one before it has ended, since an interpreter serves one at a time.

    A single image is spread over all threads. Of several, each is computed on one thread by an
    interpreter of its own, up to `workers` at once: as fast on two idle cores, and in two thirds of
    the time where other work takes turns with it, since no thread waits for another after every
    operator. Those interpreters are made when they are first needed.

    Args:
        path: the `.tflite` file; one signature, one input, one output, batch of 1.
        threads: for the kernels; None takes the cores this process may use.

    Attributes:
        input: name, shape, dtype and scale of the input.
        output: the same of the output.
        workers: images computed at once, at most 8 and no more than 32 MiB of logits (but at least
            one image), so that many cores or classes do not take much memory.

    Raises:
        ContractError: the file is no LiteRT model, needs operators that LiteRT lacks, or has
            another signature.
        ImportError: ai-edge-litert is not installed.
        ValueError: `threads` is not positive.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads: expected None or at least 1, received {threads}.")
        self._path = Path(path)
        self._threads = threads or available_cores()
        # Kept, and not mapped: on some systems a mapped file cannot be replaced or removed.
        self._content = self._path.read_bytes()
        self._single = _load(self._content, self._path, self._threads)
        self.input, self.output = _single_tensors(self._single, path)
        image_bytes = 4 * max(1, math.prod(self.output.shape))
        self.workers = max(1, min(self._threads, _MOST_WORKERS, _BATCH_BYTES // image_bytes))
        self._lock = threading.Lock()
        self._input_index = self._single.get_input_details()[0]["index"]
        self._output_index = self._single.get_output_details()[0]["index"]
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the logits of each image.

        Args:
            images: (N, H, W, C) float32, windowed.

        Returns:
            (N, H, W, K) float32.

        Raises:
            ValueError: the images have another shape than the file's input.
        """
        images = np.asarray(images, np.float32)
        if images.ndim != 4 or images.shape[1:] != self.input.shape[1:]:
            raise ValueError(
                f"images: expected shape (N, {', '.join(map(str, self.input.shape[1:]))}), "
                f"received {images.shape}. Fit and window the slices with the contract's spec."
            )
        with self._lock:
            return self._compute(images)

    def _compute(self, images: np.ndarray) -> np.ndarray:
        logits = np.empty((len(images), *self.output.shape[1:]), np.float32)
        if len(images) == 1 or self.workers == 1:
            for index, image in enumerate(images):
                logits[index] = self._run(self._single, image)
            return logits
        for index, one in enumerate(self._started_pool().map(self._run_on_free, images)):
            logits[index] = one
        return logits

    def _run_on_free(self, image: np.ndarray) -> np.ndarray:
        interpreter = self._free.get()
        try:
            return self._run(interpreter, image)
        finally:
            self._free.put(interpreter)

    def _run(self, interpreter: Any, image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(self._input_index, self._to_file(image[None]))
        interpreter.invoke()
        return self._from_file(interpreter.get_tensor(self._output_index)[0])

    def _started_pool(self) -> ThreadPoolExecutor:
        if self._pool is None:
            for _ in range(self.workers):
                self._free.put(_load(self._content, self._path, self._threads // self.workers))
            self._pool = ThreadPoolExecutor(self.workers)
        return self._pool

    def _to_file(self, real: np.ndarray) -> np.ndarray:
        if self.input.scale is None or self.input.zero_point is None:
            return real
        steps = np.rint(real / np.float32(self.input.scale)) + self.input.zero_point
        return np.clip(steps, -128, 127).astype(np.int8)

    def _from_file(self, stored: np.ndarray) -> np.ndarray:
        if self.output.scale is None or self.output.zero_point is None:
            return stored
        steps = stored.astype(np.float32) - np.float32(self.output.zero_point)
        return steps * np.float32(self.output.scale)


def _load(content: bytes, path: Path, threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError(
            "Running a .tflite file needs the package ai-edge-litert, which cannot be imported "
            f"here ({error}). Install it: pip install ai-edge-litert"
        ) from error
    try:
        interpreter = Interpreter(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ContractError(
            f"{path}: expected a model that LiteRT can run with its builtin operators, received: "
            f"{error}. Export it with tfkd.export.to_litert."
        ) from error
    return interpreter


def _single_tensors(interpreter: Any, path: str | Path) -> tuple[ModelTensor, ModelTensor]:
    """Return the file's one input and one output, named as in the signature."""
    signature = interpreter.get_signature_list().get(SIGNATURE, {"inputs": [], "outputs": []})
    names = (signature["inputs"], signature["outputs"])
    if [len(side) for side in names] != [1, 1]:
        raise ContractError(
            f"{path}: expected the signature {SIGNATURE!r} with one input and one output, received "
            f"{names[0]} and {names[1]}. Export the model with tfkd.export.to_litert."
        )
    details = (interpreter.get_input_details()[0], interpreter.get_output_details()[0])
    pair = tuple(_describe(side[0], detail) for side, detail in zip(names, details, strict=True))
    return pair[0], pair[1]


def _describe(name: str, detail: dict[str, Any]) -> ModelTensor:
    shape = tuple(int(size) for size in detail["shape"])
    dtype = np.dtype(detail["dtype"]).name
    if dtype != "int8":
        return ModelTensor(name, shape, dtype)  # type: ignore[arg-type]
    scale, zero_point = detail["quantization"]
    return ModelTensor(name, shape, dtype, float(scale), int(zero_point))  # type: ignore[arg-type]
