"""Scores any CT-to-mask callable on whole volumes, one at a time, and times a network."""

import platform
import statistics
import time
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkd._version import __version__
from tfkd.errors import GeometryError, RecordError
from tfkd.metrics import DEFAULT_EMPTY, CaseTable, EmptyPolicy
from tfkd.report.evaluation import Evaluation, ModelInfo, mask_file
from tfkd.volumes import (
    IGNORE_LABEL,
    WHOLE_VOLUME,
    Protocol,
    Volume,
    check_same_geometry,
    read_volume,
    target_mask,
    write_volume,
)

__all__ = [
    "CaseFilesLike",
    "CasePaths",
    "counted_slices",
    "evaluate",
    "read_case",
    "time_per_slice_ms",
]

Progress = Callable[[int, int, str], None]


class CaseFilesLike(typing.Protocol):
    """What a case must offer: its name and the paths of its CT and its true mask."""

    @property
    def case_id(self) -> str:
        """Name of the case."""

    @property
    def image(self) -> Path:
        """The CT."""

    @property
    def mask(self) -> Path | None:
        """The true mask; None is refused when scores are wanted."""

    @property
    def target_labels(self) -> tuple[int, ...]:
        """Labels of the mask that make one target; empty where each label is a class."""


@dataclass(frozen=True)
class CasePaths:
    """A case by its paths, for data that no manifest describes.

    Attributes:
        case_id: name of the case.
        image: the CT, NIfTI.
        mask: the true mask, NIfTI, or None.
        target_labels: labels of the mask that make one target; empty where each label is a class.
        ignored_label: a label of the mask whose voxels belong to no class, beside `IGNORE_LABEL`.
    """

    case_id: str
    image: Path
    mask: Path | None
    target_labels: tuple[int, ...] = ()
    ignored_label: int | None = None


def read_case(case: CaseFilesLike, identity_affine: str | None = None) -> tuple[Volume, Volume]:
    """Reads the CT and the true mask of a case and checks that they lie on the same voxels.

    Args:
        case: name and paths.
        identity_affine: as in `read_volume`.

    Returns:
        CT (int16 HU) and true mask (uint8 labels, or 1 in the case's target); `IGNORE_LABEL`
        where the mask has the case's ignored label.

    Raises:
        RecordError: if the case has no true mask.
        GeometryError: as `read_volume` and `check_same_geometry`.
    """
    if case.mask is None:
        raise RecordError(
            f"Case {case.case_id}: expected a true mask to compare with. Received none beside "
            f"{case.image}; leave the case out or give its mask."
        )
    image = read_volume(
        case.image, kind="ct", case_id=case.case_id, identity_affine=identity_affine
    )
    truth = read_volume(
        case.mask, kind="mask", case_id=case.case_id, identity_affine=identity_affine
    )
    check_same_geometry(image, truth, case.image, case.mask)
    # What offers a case need not know of ignored labels.
    ignored_label = getattr(case, "ignored_label", None)
    return image, truth.with_array(target_mask(truth.array, case.target_labels, ignored_label))


def evaluate(
    predictor: Callable[[Volume], Volume],
    cases: Iterable[CaseFilesLike],
    model: ModelInfo,
    label_names: Sequence[str],
    *,
    masks_dir: Path | None = None,
    identity_affine: str | None = None,
    empty: EmptyPolicy = DEFAULT_EMPTY,
    protocol: Protocol = WHOLE_VOLUME,
    progress: Progress | None = None,
    read: Callable[[CaseFilesLike, str | None], tuple[Volume, Volume]] = read_case,
) -> Evaluation:
    """Segments every case with `predictor` and compares each mask with the truth.

    One volume is in memory at a time. Every slice counts, empty ones too, unless the protocol is
    one of slices with foreground only; voxels that the truth marks with `IGNORE_LABEL` do not.

    Args:
        predictor: CT -> mask of the same shape, uint8 labels in [0, len(label_names)).
        cases: the cases, such as `manifest.case_files("test")`.
        model: the row's name, role and costs.
        label_names: index = label value, `label_names[0]` the background.
        masks_dir: folder to keep the masks in as `<case_id>.nii.gz`, in each CT's own geometry;
            None keeps none, and a report then has no overlays of this model.
        identity_affine: axis codes to assume where a file's affine is the identity, as in
            `read_volume`.
        empty: what a class scores in a case where neither truth nor prediction holds it. By default
            the case is left out of that class's mean. A false positive on an empty truth and a
            miss score 0 under every policy.
        protocol: which slices count. Its threshold is the predictor's affair.
        progress: called as `progress(done, total, case_id)`.
        read: gives CT and true mask in place of `read_case`, such as volumes that are in memory.

    Returns:
        The evaluation; `seconds_per_volume` is the median over the cases.

    Raises:
        RecordError: on no case, a case twice, a case without a truth or with labels out of range.
        GeometryError: on an unreadable case, or a prediction of another shape or label range.
    """
    cases = list(cases)
    _check_cases(cases)
    table = CaseTable((), tuple(label_names), empty)
    seconds = []
    for done, case in enumerate(cases):
        if progress:
            progress(done, len(cases), case.case_id)
        image, truth = read(case, identity_affine)
        _check_truth(case, truth, table.label_names)
        start = time.perf_counter()
        prediction = predictor(image)
        seconds.append(time.perf_counter() - start)
        _check_prediction(model, image, prediction, table.label_names)
        counted = counted_slices(truth, protocol)
        table = table.with_case(
            case.case_id, truth.array[counted], prediction.array[counted], image.voxel_volume_ml
        )
        if masks_dir is not None:
            # The CT's geometry, whatever the predictor made of it.
            write_volume(image.with_array(prediction.array), mask_file(masks_dir, case.case_id))
        del image, truth, prediction
    if progress:
        progress(len(cases), len(cases), "")
    return Evaluation(
        model, table, statistics.median(seconds), masks_dir, _environment(), protocol.name
    )


def time_per_slice_ms(
    logits_fn: Callable[[NDArray[np.float32]], Any],
    input_shape: Sequence[int],
    *,
    repeats: int = 20,
    warmup: int = 3,
) -> float:
    """Median time of one slice through a network at batch 1, milliseconds.

    Args:
        logits_fn: (1, H, W, C) float32 -> logits; the result is brought to NumPy inside the timing,
            so that an asynchronous call is waited for.
        input_shape: (H, W, C).
        repeats: timed calls, at least 1.
        warmup: calls before the timing (tracing, caches).

    Returns:
        Milliseconds > 0, of noise in [-1, 1] (no network here has a running time that depends on
        the values).

    Raises:
        ValueError: if `input_shape` is not (H, W, C) or `repeats` is below 1.
    """
    if len(input_shape) != 3 or repeats < 1:
        raise ValueError(
            "Expected input_shape (H, W, C) and repeats of at least 1. "
            f"Received: input_shape={tuple(input_shape)}, repeats={repeats}"
        )
    noise = np.random.default_rng(0).uniform(-1, 1, (1, *input_shape)).astype(np.float32)
    for _ in range(warmup):
        np.asarray(logits_fn(noise))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.asarray(logits_fn(noise))
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def _check_cases(cases: Sequence[CaseFilesLike]) -> None:
    names = [case.case_id for case in cases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        received = f"these more than once: {', '.join(repeated)}" if repeated else "none"
        raise RecordError(
            f"Expected at least one case to evaluate on, each once. Received {received}."
        )


def counted_slices(truth: Volume, protocol: Protocol) -> Any:
    """Which slices of a case count.

    Args:
        truth: the true mask.
        protocol: of the records; one with `only_positive` counts slices with foreground only.

    Returns:
        An index of the first axis.
    """
    if not protocol.only_positive:
        return slice(None)  # no copy
    return np.any((truth.array > 0) & (truth.array != IGNORE_LABEL), axis=(1, 2))


def _check_truth(case: CaseFilesLike, truth: Volume, label_names: Sequence[str]) -> None:
    highest = int(truth.array.max(where=truth.array != IGNORE_LABEL, initial=0))
    if highest >= len(label_names):
        raise RecordError(
            f"Case {case.case_id}, {case.mask}: expected labels 0 to {len(label_names) - 1} "
            f"({', '.join(label_names)}). Received label {highest}; name every label of the data."
        )


def _check_prediction(
    model: ModelInfo, image: Volume, prediction: Volume, label_names: Sequence[str]
) -> None:
    highest = int(prediction.array.max())
    if prediction.shape != image.shape or highest >= len(label_names):
        raise GeometryError(
            f"Case {image.case_id}, model {model.name!r}: expected a mask of shape {image.shape} "
            f"with labels 0 to {len(label_names) - 1}. Received shape {prediction.shape} with "
            f"labels up to {highest}; use a model of {len(label_names)} classes."
        )


def _environment() -> dict[str, str]:
    return {
        "machine": f"{platform.system()} {platform.machine()}, {cpu_count()} CPU cores",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tfkd": __version__,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
