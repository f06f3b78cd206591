"""Which slices the int8 ranges are taken from, and the exported file is compared on."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfkd.errors import ExportError
from tfkd.volumes import IGNORE_LABEL, PreprocessSpec

__all__ = ["select_slices"]

# A class-balanced training set repeats for ever; after so many slices per wanted one, a class that
# has not come is not going to.
_SCAN_FACTOR = 10

# Standard deviation of a slice that shows something, as a part of the output range, at least.
_LEAST_SPREAD = 1e-3
_MOST_CONSTANT = 0.9


def select_slices(
    calibration: Any, count: int, spec: PreprocessSpec, label_names: Sequence[str]
) -> np.ndarray:
    """Return up to `count` preprocessed slices in which every class of the data is present.

    Of an array, evenly spaced slices are taken: whoever made it chose them. Of a dataset with
    masks, at most 10 · `count` slices are read, and whenever there is one too many, one of those
    goes whose rarest label is the commonest among the slices kept. An empty slice counts as one of
    label 0.

    Args:
        calibration: (n, H, W, C) array of windowed slices, or batches of them, alone or as
            (images, masks, …) with masks (N, H, W), as `tfkd.records.load` gives them.
        count: how many at most.
        spec: what the slices were preprocessed with.
        label_names: index = label value.

    Returns:
        (n, H, W, C) float32.

    Raises:
        ExportError: no slice, another shape, NaN, values that were not windowed, or nothing but
            slices of one grey value.

    Warns:
        UserWarning: masks are given, and a class is in none of them; or more than nine tenths of
            the slices are of one grey value.
    """
    if count < 1:
        raise ValueError(f"calibration_slices: expected at least 1, received {count}.")
    if isinstance(calibration, np.ndarray):
        chosen = np.unique(np.linspace(0, len(calibration) - 1, count).round().astype(int))
        slices = calibration[chosen] if len(calibration) else calibration
    else:
        slices, masks = _collect(calibration, count)
        _warn_of_absent(masks, label_names)
    slices = np.asarray(slices, np.float32)
    _check_slices(slices, spec)
    return slices


def _collect(batches: Any, count: int) -> tuple[np.ndarray, list[set[int]]]:
    """Return the chosen slices and the labels of each; no labels where no masks are given."""
    slices: list[np.ndarray] = []
    labels: list[set[int]] = []
    generator = np.random.default_rng(0)
    for read, (image, mask) in enumerate(_each_slice(batches)):
        if read >= count * (1 if mask is None else _SCAN_FACTOR):
            break
        slices.append(image)
        labels.append(set() if mask is None else _labels_of(mask))
        if len(slices) > count:
            surplus = _most_dispensable(labels, generator)
            del slices[surplus], labels[surplus]
    return np.array(slices), labels


def _each_slice(batches: Any) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    for batch in batches:
        images, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
        masks = [None] * len(images) if not rest else np.asarray(rest[0])
        yield from zip(np.asarray(images), masks, strict=True)


def _labels_of(mask: np.ndarray) -> set[int]:
    return set(np.flatnonzero(np.bincount(mask.ravel())).tolist()) - {0, IGNORE_LABEL} or {0}


def _most_dispensable(labels: Sequence[set[int]], generator: np.random.Generator) -> int:
    kept: dict[int, int] = {}
    for present in labels:
        for label in present:
            kept[label] = kept.get(label, 0) + 1
    rarest = np.array([min((kept[label] for label in present), default=0) for present in labels])
    # By chance among equals: the first or the last would favour one end of the data.
    return int(generator.choice(np.flatnonzero(rarest == rarest.max())))


def _warn_of_absent(labels: Sequence[set[int]], label_names: Sequence[str]) -> None:
    present = set().union(*labels)
    absent = [name for label, name in enumerate(label_names) if label and label not in present]
    if present and absent:
        warnings.warn(
            f"calibration: no slice shows {', '.join(absent)}; the file's ranges and its check do "
            "not cover what is absent. Give slices of every class.",
            stacklevel=4,
        )


def _check_slices(slices: np.ndarray, spec: PreprocessSpec) -> None:
    if slices.shape[1:] != spec.input_shape or not len(slices):
        raise ExportError(
            f"calibration: expected slices of shape {spec.input_shape}, received an array of shape "
            f"{slices.shape}. Give training slices preprocessed with the student's spec."
        )
    bottom, top = spec.output_range
    margin = 1e-3 * (top - bottom)  # rounding
    low, high = float(slices.min()), float(slices.max())
    if not (bottom - margin <= low and high <= top + margin):
        raise ExportError(
            f"calibration: expected values windowed to {spec.output_range}, received {low:.4g} to "
            f"{high:.4g}. Apply tfkd.volumes.window, or take them from tfkd.records.load."
        )
    spread = slices.reshape(len(slices), -1).std(axis=1)
    constant = int(np.count_nonzero(spread < _LEAST_SPREAD * (top - bottom)))
    if constant == len(slices):
        raise ExportError(
            f"calibration: expected slices that show something, received {constant} that are of "
            f"one grey value, {low:.4g}, such as air. The file's ranges would be of no use; give "
            "training slices with the organs in them."
        )
    if constant > _MOST_CONSTANT * len(slices):
        warnings.warn(
            f"calibration: {constant} of {len(slices)} slices are of one grey value, such as air; "
            "the file's ranges come from the few others. Give training slices with the organs in "
            "them.",
            stacklevel=4,
        )
