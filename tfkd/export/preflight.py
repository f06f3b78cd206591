"""`preflight`: what a student will be on the device, told before anyone trains it."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.bench import read_operators, time_operators
from tfkd.bench.process import run_job
from tfkd.errors import ContractError, ExportError
from tfkd.export.convert import convert
from tfkd.export.keras_logits import fixed_input_shape
from tfkd.export.quantization.file_form import file_form
from tfkd.export.silence import silenced
from tfkd.models.logits import check_finite_weights, check_logits
from tfkd.models.macs import count_macs

__all__ = ["Preflight", "PreflightFile", "preflight"]

FORMATS = ("float32", "int8")

_CALIBRATION_SLICES = 4

# From here on int8 is called slower; below is the noise of a busy machine.
_SLOWER = 1.15

# An operator is named if it costs at least this part of what the worst one does.
_SHARE_OF_CULPRIT = 0.2

_ADVICE = {
    "PRELU": "XNNPACK has no int8 kernel for a PReLU of slopes above 1, or of one for each pixel: "
    "use ReLU or shared_axes=(1, 2), or export float32 or float16",
    "TRANSPOSE_CONV": "bilinear upsampling and a convolution do the same work",
}


@dataclass(frozen=True)
class PreflightFile:
    """The untrained student as a file.

    Attributes:
        quantization: "float32" or "int8".
        size_bytes: of the file.
        operators: operator → how often it is there, the commonest first.
        outside: operator → how often XNNPACK leaves it to LiteRT's own, slower kernels; None where
            this LiteRT does not tell.
        live_bytes: most bytes of activations needed at one time: the least that the arena takes.
        ram_bytes: what loading and running the file adds to a fresh process; None where the
            system does not say it.
        ms: time of a slice at batch 1, milliseconds, median.
        cpu_ms: its processor time, all threads together, which other processes disturb least.
    """

    quantization: str
    size_bytes: int
    operators: dict[str, int]
    outside: dict[str, int] | None
    live_bytes: int
    ram_bytes: int | None
    ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Preflight:
    """What is known of a student before its training.

    Attributes:
        name: of the model.
        input_shape: (H, W, C).
        classes: with the background.
        parameters: trainable weights.
        macs: multiply-accumulates of a slice; None where a layer is not known.
        threads: with which the times were taken.
        files: number format → the file; a format that cannot be converted or run is not there.
        xla: "forward" and, if asked for, "backward" → None if XLA compiles it, else why not.
        problems: why there can be no file at all; empty if there can.
        warnings: what will work worse than one may think, and what to do.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    parameters: int
    macs: int | None
    threads: int
    files: dict[str, PreflightFile] = field(default_factory=dict)
    xla: dict[str, str | None] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the student can be exported."""
        return not self.problems


def preflight(
    student: keras.Model,
    *,
    xla: bool = False,
    threads: int = 1,
    runs: int = 30,
    progress: Callable[[int, int, str], None] | None = None,
) -> Preflight:
    """Convert an untrained student, run the files and say what to expect.

    int8 ranges are taken from noise: sizes, operators and times do not depend on them. The student
    is not changed.

    Args:
        student: one input (N, H, W, C) of fixed size, one output of logits (N, H, W, K).
        xla: whether to look at the backward pass, too, which takes up to a minute.
        threads: for the times.
        runs: timed slices.
        progress: called with (steps done, steps in all, what is next).

    Raises:
        TypeError: not a Keras model.
        ValueError: several inputs or outputs, a size that is not fixed, probabilities or one
            channel in place of logits, or weights that are not finite.
    """
    shape = fixed_input_shape(student)
    check_logits(student, "student")
    check_finite_weights(student, "student")
    if threads < 1 or runs < 1:
        raise ValueError(
            f"threads and runs: expected at least 1 each, received {threads} and {runs}."
        )
    steps = _Steps(2 * len(FORMATS) + 2 + xla, progress)
    problems: list[str] = []
    warnings: list[str] = []
    files: dict[str, PreflightFile] = {}
    with tempfile.TemporaryDirectory(prefix="tfkd-") as folder:
        paths = {name: Path(folder) / f"{name}.tflite" for name in FORMATS}
        for name, path in paths.items():
            steps.next(f"convert to {name}")
            try:
                path.write_bytes(_converted(student, name, shape))
            except ExportError as error:
                (problems if name == "float32" else warnings).append(str(error))
                steps.next("")
                continue
            steps.next(f"run {name}")
            try:
                files[name] = _measured(name, path, threads, runs)
            except ContractError as error:
                # The file is a temporary one, whose name says nothing to anyone.
                reason = str(error).replace(str(path), f"the {name} file")
                (problems if name == "float32" else warnings).append(reason)
        steps.next("look for slow operators")
        if set(files) == set(FORMATS):
            warnings += _slow_int8(files, paths)
    verdicts: dict[str, str | None] = {}
    for name in ("forward", "backward") if xla else ("forward",):
        steps.next(f"lower for XLA, {name}")
        verdicts[name] = _xla_refusal(student, shape, name)
        if verdicts[name]:
            warnings.append(f"XLA does not compile the {name} pass: {verdicts[name]}")
    try:
        macs = count_macs(student)
    except ValueError as error:
        macs = None
        warnings.append(f"multiply-accumulates are unknown: {error}")
    steps.next("")
    return Preflight(
        name=student.name,
        input_shape=shape,
        classes=student.outputs[0].shape[-1],
        parameters=sum(int(np.prod(weight.shape)) for weight in student.trainable_weights),
        macs=macs,
        threads=threads,
        files=files,
        xla=verdicts,
        problems=tuple(problems),
        warnings=tuple(warnings),
    )


class _Steps:
    """Counts what is done and tells it."""

    def __init__(self, total: int, progress: Callable[[int, int, str], None] | None) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def next(self, text: str) -> None:
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total, text)
        self._done += 1


def _converted(student: keras.Model, quantization: str, shape: tuple[int, int, int]) -> bytes:
    noise = np.random.default_rng(0).uniform(-1, 1, (_CALIBRATION_SLICES, *shape))
    calibration = noise.astype(np.float32) if quantization == "int8" else None
    return convert(file_form(student, quantization), quantization, calibration)


def _measured(quantization: str, path: Path, threads: int, runs: int) -> PreflightFile:
    operators = read_operators(path)
    times = run_job("slices", model=str(path), threads=threads, runs=runs, warmup=5)
    return PreflightFile(
        quantization=quantization,
        size_bytes=path.stat().st_size,
        operators=operators.counts,
        outside=operators.outside,
        live_bytes=operators.live_bytes,
        ram_bytes=times["added_bytes"],
        ms=times["median_ms"],
        cpu_ms=times["cpu_ms"],
    )


def _slow_int8(files: dict[str, PreflightFile], paths: dict[str, Path]) -> list[str]:
    """Return warnings of operators without int8 kernel, and of int8 that is slower than float32."""
    floating, integer = files["float32"], files["int8"]
    outside = integer.outside or {}
    warnings = []
    if outside:
        names = ", ".join(f"{count} {name}" for name, count in outside.items())
        advice = "".join(map(_advice, outside))
        warnings.append(
            f"int8: XNNPACK leaves {names} to LiteRT's own kernels, which are slower{advice}."
        )
    ratio = integer.cpu_ms / floating.cpu_ms
    if ratio > _SLOWER:
        before = {one.name: one.ms or 0.0 for one in time_operators(paths["float32"])}
        extra = {
            one.name: one.ms - before.get(one.name, 0.0)
            for one in time_operators(paths["int8"])
            if one.ms is not None
        }
        most = max(extra.values(), default=0.0)
        culprits = [
            f"{name} ({integer.operators.get(name, 0)} of them, {extra[name]:+.1f} ms alone"
            f"{'' if name in outside else _advice(name)})"
            for name in sorted(extra, key=extra.__getitem__, reverse=True)
            if extra[name] > _SHARE_OF_CULPRIT * most > 0
        ]
        because = f"; likely because of {', '.join(culprits)}" if culprits else ""
        warnings.append(
            f"int8 takes {ratio:.1f} times as long as float32, {integer.cpu_ms:.1f} against "
            f"{floating.cpu_ms:.1f} ms of processor time a slice{because}."
        )
    return warnings


def _advice(operator: str) -> str:
    return f"; {_ADVICE[operator]}" if operator in _ADVICE else ""


def _xla_refusal(student: keras.Model, shape: tuple[int, int, int], what: str) -> str | None:
    """Return why XLA cannot compile a pass, or None.

    The graph is lowered and not compiled: what XLA lacks shows there, in a tenth of the time.
    """

    def forward(image: tf.Tensor) -> Any:
        return student(image, training=False)

    def backward(image: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            (logits,) = keras.tree.flatten(student(image, training=True))
            loss = tf.reduce_mean(tf.square(tf.cast(logits, tf.float32)))
        return tape.gradient(loss, student.trainable_variables)

    compiled = tf.function(forward if what == "forward" else backward, jit_compile=True)
    try:
        with silenced():
            compiled.experimental_get_compiler_ir(tf.zeros((1, *shape)))(stage="hlo")
    except Exception as error:  # of several unrelated types, from deep within
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        named = [line for line in lines if "unsupported operations" in line]
        return (named or lines or [type(error).__name__])[0][:300]
    return None
