"""`to_litert`: a student becomes a LiteRT file that has been run before anyone gets it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import ai_edge_litert
import keras
import numpy as np
import tensorflow as tf

from tfkd._version import __version__
from tfkd.errors import ContractError, ExportError
from tfkd.export.calibration import select_slices
from tfkd.export.convert import CALIBRATED, convert
from tfkd.export.keras_logits import fixed_input_shape, keras_logits
from tfkd.export.model_pair import writing_model_pair
from tfkd.export.quantization.file_form import file_form
from tfkd.export.quantization.quantization_aware import is_quantization_aware
from tfkd.export.synthetic import synthetic_slices
from tfkd.export.verify import MIN_AGREEMENT, Comparison, check, compare
from tfkd.inference import QUANTIZATIONS, Contract, GoldenSlice, LiteRTModel
from tfkd.models.logits import check_finite_weights, check_logits
from tfkd.models.network_file import facts_of
from tfkd.volumes import DataFacts, PreprocessSpec, sha256_of, window

__all__ = ["ExportResult", "Quantization", "to_litert", "write_checked"]

Quantization = Literal["float32", "float16", "dynamic_int8", "int8", "int16x8"]

VERIFICATION_SLICES = 32

# What other kernels may add to the golden slice's logits, as a fraction of their range.
_GOLDEN_TOLERANCE = {
    "float32": 0.005,
    "float16": 0.02,
    "dynamic_int8": 0.05,
    "int8": 0.05,
    "int8_mixed": 0.05,
    "int16x8": 0.02,
}
_GOLDEN_STRIDE = 8

# Share of the pixels whose label the faster form of a student may cost, where int8 is poor anyway:
# the other one takes several times as long.
_FORM_MAY_LOSE = 0.01


@dataclass(frozen=True, eq=False)
class ExportResult:
    """What `to_litert` wrote and how well it agrees with the student.

    Attributes:
        path: the `.tflite` file; the contract lies beside it.
        contract: what the contract says.
        comparison: the figures of the run beside Keras.
        slow_because: why operators that have slow kernels were kept although faster ones were
            tried, in words; None otherwise.
    """

    path: Path
    contract: Contract
    comparison: Comparison
    slow_because: str | None = None

    @property
    def agreement(self) -> float:
        """Fraction of pixels with the same label from the file and from Keras."""
        return self.comparison.agreement

    @property
    def slow_note(self) -> str:
        """`slow_because` as a sentence; empty where there is nothing to say."""
        if self.slow_because is None:
            return ""
        return f"Operators with slow kernels were kept: {self.slow_because}"

    @property
    def size_bytes(self) -> int:
        """Size of the `.tflite` file."""
        return self.contract.size_bytes


def to_litert(
    student: keras.Model,
    path: str | Path,
    *,
    quantization: Quantization = "float32",
    calibration: Any = None,
    spec: PreprocessSpec | None = None,
    label_names: Sequence[str] | None = None,
    min_agreement: float | None = None,
    calibration_slices: int = 200,
    threshold: float | None = None,
) -> ExportResult:
    """Export a student as a LiteRT file with its contract, `student.tflite` and `student.json`.

    The file takes one slice (1, H, W, C) named "image" and gives logits (1, H, W, K) named
    "logits"; it uses LiteRT's builtin operators only, and in place of those that have slow kernels
    others that compute the same (`edge_form`). Before the call returns the file is run, and its
    labels are compared with those of Keras: on up to 32 of the calibration slices, or on synthetic
    slices with the grey values of a CT if there are none. Slow operators are kept only where the
    file with the others fails this, or agrees with Keras on one pixel in a hundred less and on
    less than the format's own limit (`ExportResult.slow_because`). If anything fails, an earlier
    file at `path` stays.

    Args:
        student: one input (N, H, W, C) of fixed size, one output of logits (N, H, W, K). It is not
            changed. A student in mixed precision is exported from a float32 copy.
        path: where to write, ending in `.tflite`.
        quantization: "float32"; "float16" (weights only, half the size); "dynamic_int8" (weights
            int8, a quarter of the size; activations are quantised while it runs, with ranges of
            the slice at hand); "int8" (weights, activations, input and output: as small, and where
            the kernels are good the fastest); or "int16x8" (weights int8, activations int16: close
            to float32, for accelerators, many times slower on a CPU). Input and output are float32
            in all but "int8".
        calibration: preprocessed training slices: an array (n, H, W, C), or a dataset of batches
            (images, masks), of which up to `calibration_slices` are taken so that every class is
            present. int8 and int16x8 need them, but for a student of `quantization_aware`.
        spec: how a CT becomes the student's input, normally `data.spec`. None takes what the
            student was trained with (`tfkd.models.facts_of`), or that of the records that the
            calibration is a dataset of; where neither is known, the default window at the student's
            size, which is right only if the student was trained so.
        label_names: index = label value, the background first. None takes the student's, or names
            them "label_1", ….
        min_agreement: smallest fraction of pixels with the same label; None takes 0.999 for
            float32 and float16, else 0.99. 0 accepts the file as it is.
        calibration_slices: how many to take at most.
        threshold: with two classes, the probability above which `Predictor` says foreground, as of
            `data.manifest.protocol`; None for the highest class.

    Returns:
        The path, the contract and the figures of the comparison.

    Raises:
        TypeError: the student is not a Keras model.
        ValueError: an argument is wrong, or spec, labels and student do not fit together.
        ExportError: the student has an operator that LiteRT lacks (the message names it), the
            calibration slices are unusable, or the file does not do what Keras does.
    """
    path = Path(path)
    shape, classes = fixed_input_shape(student), student.outputs[0].shape[-1]
    _check_arguments(path, quantization, min_agreement)
    check_logits(student, "student")
    check_finite_weights(student, "student")
    _check_calibration(student, quantization, calibration)
    known = facts_of(student)
    of_slices = DataFacts.of(calibration)
    if (source := known or of_slices) is not None:
        spec = source.spec if spec is None else spec
        label_names = source.label_names if label_names is None else label_names
    spec = _fitting_spec(spec, shape)
    names = _fitting_names(label_names, classes)
    _check_known(known, DataFacts(spec, names), student.name)
    _check_slices(of_slices, DataFacts(spec, names))
    if threshold is not None and (classes != 2 or not 0 < threshold < 1):
        raise ValueError(
            f"threshold: expected one in (0, 1), for two classes. Received {threshold} for {names}."
        )
    if calibration is None:
        slices = window(synthetic_slices(spec, VERIFICATION_SLICES // 2, noise_hu=10.0), spec)
    else:
        slices = select_slices(calibration, calibration_slices, spec, names)
    settings: dict[str, Any] = {
        "source": "synthetic" if calibration is None else "calibration",
        "spec": spec,
        "label_names": names,
        "min_agreement": min_agreement,
        "threshold": threshold,
    }
    ranges_from = None if calibration is None else slices

    def written(network: keras.Model, **more: Any) -> ExportResult:
        content = convert(network, quantization, ranges_from)
        return write_checked(student, path, content, quantization, slices, **settings, **more)

    form = file_form(student, quantization)
    if form is student:
        return written(student)
    try:
        result = written(form)
    except ExportError as error:
        try:
            result = written(student)
        except ExportError as also:
            raise ExportError(f"{also} Nor with faster operators: {error}") from error
        reason = "with faster ones it cannot be made, or does not agree with Keras enough."
        return replace(result, slow_because=reason)
    if result.agreement >= MIN_AGREEMENT[quantization]:
        return result
    # The faster form is rounded once more at most PReLUs, which a poor file may be poor for.
    try:
        better = written(student, better_than=result.agreement + _FORM_MAY_LOSE)
    except ExportError:
        return result
    reason = (
        f"with faster ones {result.agreement:.2%} of the labels are those of Keras, with these "
        f"{better.agreement:.2%}."
    )
    return replace(better, slow_because=reason)


def write_checked(
    student: keras.Model,
    path: Path,
    content: bytes,
    quantization: str,
    slices: np.ndarray,
    *,
    source: str,
    spec: PreprocessSpec,
    label_names: Sequence[str],
    min_agreement: float | None = None,
    threshold: float | None = None,
    better_than: float = 0.0,
) -> ExportResult:
    """Run a converted file beside its student, and write it with its contract if they agree.

    Args:
        student: what the file was made from.
        path: where to write, ending in `.tflite`.
        content: the file's bytes.
        quantization: as for `to_litert`, or "int8_mixed" for a file of `MixedInt8`.
        slices: (n, H, W, C) windowed; up to 32 of them are compared.
        source: where they come from, for the record.
        spec: as for `to_litert`.
        label_names: as for `to_litert`.
        min_agreement: as for `to_litert`.
        threshold: as for `to_litert`.
        better_than: an agreement that the file must have besides, for it to replace another one.

    Raises:
        ExportError: the file does not load or does not do what Keras does; nothing is written.
    """
    minimum = MIN_AGREEMENT[quantization] if min_agreement is None else min_agreement
    with writing_model_pair(path) as (new_model, new_contract):
        new_model.write_bytes(content)
        runtime = _runtime(new_model, student.name)
        comparison = compare(keras_logits(student, 1), runtime, _evenly(slices), source)
        check(comparison, quantization, max(minimum, better_than), student.name)
        contract = Contract(
            file=path.name,
            sha256=sha256_of(new_model),
            size_bytes=len(content),
            quantization=quantization,
            spec=spec,
            label_names=tuple(label_names),
            input=runtime.input,
            output=runtime.output,
            # A limit of 0 is no word on what another machine may make of the file.
            golden=_golden_slice(
                runtime, spec, quantization, minimum or MIN_AGREEMENT[quantization]
            ),
            created_by=_versions(),
            threshold=threshold,
        )
        contract.save(new_contract)
    return ExportResult(path, contract, comparison)


def _check_arguments(path: Path, quantization: str, min_agreement: float | None) -> None:
    if path.suffix != ".tflite":
        raise ValueError(f"path: expected a name ending in .tflite, received {path}.")
    if quantization not in QUANTIZATIONS:
        raise ValueError(
            f"quantization: expected one of {sorted(QUANTIZATIONS)}, received {quantization!r}."
        )
    if min_agreement is not None and not 0 <= min_agreement <= 1:
        raise ValueError(f"min_agreement: expected 0 to 1, received {min_agreement}.")


def _check_calibration(student: keras.Model, quantization: str, calibration: Any) -> None:
    if quantization in CALIBRATED and calibration is None and not is_quantization_aware(student):
        raise ValueError(
            f"calibration: {quantization} takes its ranges from preprocessed training slices, "
            "received none. Give an array of them or a dataset, such as "
            "tfkd.records.load(folder).train."
        )


def _fitting_spec(spec: PreprocessSpec | None, shape: tuple[int, int, int]) -> PreprocessSpec:
    height, width, channels = shape
    if spec is None:
        if channels % 2 == 0:
            raise ValueError(
                f"spec: a student of {channels} channels is not a slice with as many neighbours on "
                "either side, so no default fits. Give the spec it was trained with."
            )
        return PreprocessSpec(size=(height, width), context_slices=channels // 2)
    if spec.input_shape != shape:
        raise ValueError(
            f"spec: expected the student's input shape {shape}, received {spec.input_shape}. Give "
            "the spec it was trained with."
        )
    return spec


def _fitting_names(label_names: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    if label_names is None:
        return ("background", *(f"label_{label}" for label in range(1, classes)))
    if isinstance(label_names, str) or len(label_names) != classes:
        raise ValueError(
            f"label_names: expected {classes} names, one for each class of the student's logits, "
            f"received {label_names!r}."
        )
    return tuple(label_names)


def _check_known(known: DataFacts | None, given: DataFacts, name: str) -> None:
    if known is not None and known != given:
        raise ValueError(
            f"spec and label_names: expected those that student {name!r} was trained with, "
            f"received {'; '.join(given.differences(known))}. Leave them out to take the student's."
        )


def _check_slices(slices: DataFacts | None, given: DataFacts) -> None:
    if slices is not None and slices.spec != given.spec:
        raise ValueError(
            "calibration: expected slices of the student's spec, received data with "
            f"{'; '.join(slices.differences(given))}. Take the records that it was trained on."
        )


def _runtime(path: Path, name: str) -> LiteRTModel:
    try:
        return LiteRTModel(path)
    except ContractError as error:
        raise ExportError(f"Student {name!r}: the exported file does not load: {error}") from error


def _evenly(slices: np.ndarray) -> np.ndarray:
    chosen = np.linspace(0, len(slices) - 1, min(VERIFICATION_SLICES, len(slices))).round()
    return slices[chosen.astype(int)]


def _golden_slice(
    runtime: LiteRTModel, spec: PreprocessSpec, quantization: str, minimum: float
) -> GoldenSlice:
    """Return the one of a few synthetic slices in which the file finds most, and what it finds."""
    images_hu = synthetic_slices(spec, 8, seed=1)
    logits = runtime(window(images_hu, spec))
    masks = logits.argmax(axis=-1).astype(np.uint8)
    richness = [(len(np.unique(mask)), np.count_nonzero(mask)) for mask in masks]
    best = max(range(len(masks)), key=richness.__getitem__)
    return GoldenSlice(
        image_hu=images_hu[best],
        mask=masks[best],
        logits=logits[best, ::_GOLDEN_STRIDE, ::_GOLDEN_STRIDE],
        logits_stride=_GOLDEN_STRIDE,
        logits_tolerance=_GOLDEN_TOLERANCE[quantization] * float(np.ptp(logits[best])),
        min_agreement=minimum,
    )


def _versions() -> dict[str, str]:
    # Not from the installed distributions, whose names vary (tensorflow, tensorflow-cpu, …).
    modules = {"tensorflow": tf, "keras": keras, "ai-edge-litert": ai_edge_litert, "numpy": np}
    return {"tfkd": __version__, **{name: it.__version__ for name, it in modules.items()}}
