"""Scores any CT-to-mask callable on whole volumes, one at a time."""

import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np

from tfkd._version import __version__
from tfkd.errors import GeometryError, RecordError
from tfkd.evaluation.cases import CaseFilesLike, read_case
from tfkd.evaluation.evaluation import Evaluation, ModelInfo, mask_file
from tfkd.metrics import DEFAULT_EMPTY, CaseTable, EmptyPolicy
from tfkd.volumes import IGNORE_LABEL, WHOLE_VOLUME, Protocol, Volume, write_volume

__all__ = ["Progress", "evaluate"]

Progress = Callable[[int, int, str], None]


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

    Warns:
        UserWarning: where a truth holds `IGNORE_LABEL` and no class: a 0/255 mask, most likely.
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
        counted = _counted_slices(truth, protocol)
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


def _check_cases(cases: Sequence[CaseFilesLike]) -> None:
    names = [case.case_id for case in cases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        received = f"these more than once: {', '.join(repeated)}" if repeated else "none"
        raise RecordError(
            f"Expected at least one case to evaluate on, each once. Received {received}."
        )


def _counted_slices(truth: Volume, protocol: Protocol) -> Any:
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
    if highest == 0 and truth.array.max() == IGNORE_LABEL:
        warnings.warn(
            f"Case {case.case_id}, {case.mask}: holds {IGNORE_LABEL} and never "
            f"{' or '.join(label_names[1:])}, so that no target is scored. 0/255 masks must be "
            f"stored as 0/1; {IGNORE_LABEL} means no label.",
            UserWarning,
            stacklevel=3,
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
