"""A CT to the file of its mask, slice by slice."""

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from tfkd.inference.clean_mask import clean_mask
from tfkd.inference.volume_predictor import Progress, VolumePredictor
from tfkd.volumes import CTSlices, SliceFile, writing_slices

__all__ = ["FilePrediction", "MaskWriter", "predict_file", "probability_path"]

MaskWriter = Callable[[Path, CTSlices], AbstractContextManager[Callable[[np.ndarray], None]]]
"""Opens a mask's file for its slices, as `writing_slices` does."""

# NIfTI has no 16-bit floats. Ten-thousandths are as small, finer near 1, and every viewer scales.
_PROBABILITY_STEP = 1e-4


@dataclass(frozen=True)
class FilePrediction:
    """What `predict_file` wrote.

    Attributes:
        case_id: of the CT.
        mask: the mask's file.
        probabilities: files of the foreground labels' probabilities, by label name.
        shape_zyx: voxels of the CT along (z, y, x).
        spacing_mm_zyx: their distance.
        volumes_ml: millilitres by foreground label, after post-processing.
        seconds: from opening the CT to the finished files.
    """

    case_id: str
    mask: Path
    probabilities: dict[str, Path]
    shape_zyx: tuple[int, int, int]
    spacing_mm_zyx: tuple[float, float, float]
    volumes_ml: dict[str, float]
    seconds: float


def predict_file(
    predictor: VolumePredictor,
    ct: CTSlices,
    out: str | Path,
    *,
    probabilities: bool = False,
    progress: Progress | None = None,
    mask_writer: MaskWriter = writing_slices,
) -> FilePrediction:
    """Segment a CT and write its mask, in memory that does not grow with the number of slices.

    The mask is what the predictor gives for the whole volume. Its file appears last, and only when
    all has succeeded. Post-processing keeps the mask in a temporary file meanwhile.

    Args:
        predictor: what to segment with.
        ct: the CT.
        out: mask to write; `.nii` or `.nii.gz`, in the layout of the CT.
        probabilities: whether to write each foreground label's probability, before
            post-processing, beside the mask: int16 in steps of 0.0001, which the header says.
        progress: called after each batch with (slices done, slices in all, case id).
        mask_writer: what writes the mask, such as `writing_dicom_seg` with its labels bound.

    Raises:
        GeometryError: the CT is damaged.
        ValueError: the path has another suffix, or the network's logits are not usable.
    """
    started = time.monotonic()
    out = Path(out)
    names = predictor.label_names
    paths = (
        {name: probability_path(out, label, name) for label, name in enumerate(names) if label}
        if probabilities
        else {}
    )
    voxels = np.zeros(len(names), np.int64)
    opened = mask_writer(out, ct)  # which refuses what it cannot write before the network runs
    with ExitStack() as stack:
        predictions = stack.enter_context(
            closing(predictor.predict_slices(ct, probabilities=probabilities, progress=progress))
        )
        first = next(predictions)  # a CT that cannot be read leaves not even a folder behind
        # The mask's writer is entered first, so that its file appears after the probabilities.
        write_mask = stack.enter_context(opened)
        writers = [
            stack.enter_context(writing_slices(path, ct, np.int16, _PROBABILITY_STEP))
            for path in paths.values()
        ]
        kept = stack.enter_context(SliceFile(ct.shape)) if predictor.postprocessing else None

        def finish(labels: np.ndarray) -> None:
            # A few labels one by one take a third of the time of `bincount`.
            for label in range(1, len(names)):
                voxels[label] += np.count_nonzero(labels == label)
            write_mask(labels)

        for prediction in chain([first], predictions):
            if kept is None:
                finish(prediction.labels)
            else:
                kept[prediction.slice_index] = prediction.labels
            if prediction.probabilities is not None:
                steps = np.rint(prediction.probabilities / _PROBABILITY_STEP).astype(np.int16)
                for index, write in enumerate(writers):
                    write(steps[..., index])
        if kept is not None:
            clean_mask(kept, names, predictor.postprocessing)
            for z in ct.slice_indices:
                finish(kept[z])
    return FilePrediction(
        case_id=ct.case_id,
        mask=out,
        probabilities=paths,
        shape_zyx=ct.shape,
        spacing_mm_zyx=ct.spacing_mm,
        volumes_ml={
            name: float(voxels[label]) * ct.voxel_volume_ml
            for label, name in enumerate(names)
            if label
        },
        seconds=time.monotonic() - started,
    )


def probability_path(mask: Path, label: int, name: str) -> Path:
    """Return where a label's probability lies: `ct_mask.nii.gz` → `ct_mask_p1_liver.nii.gz`."""
    stem = mask.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".dcm")
    safe = re.sub(r"[^\w.-]+", "_", name)
    suffix = ".nii" if mask.name.endswith(".nii") else ".nii.gz"
    return mask.with_name(f"{stem}_p{label}_{safe}{suffix}")
