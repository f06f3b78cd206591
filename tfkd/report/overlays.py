"""A slice of a case, with the truth and every model's mask laid over it."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfkd.errors import GeometryError
from tfkd.evaluation import CaseFilesLike, Evaluation, read_case
from tfkd.metrics import dice_per_class
from tfkd.report.outlines import Outline, outlines_of
from tfkd.report.slice_choice import SliceWish, judged_row, slice_of, wished_slices
from tfkd.volumes import IGNORE_LABEL, Volume, read_volume

__all__ = ["OverlayFigure", "Panel", "make_overlays"]

_MARGIN_MM = 15.0
_SMALLEST_VIEW_MM = 110.0
_JPEG_QUALITY = 88

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Panel:
    """One model's mask on a slice.

    Attributes:
        name: the row.
        outlines: regions of the mask; None if the mask was not kept.
        wrong_pixels: pixels whose label differs from the truth.
        dice: Dice of the figure's class on this slice; NaN where neither side holds it.
    """

    name: str
    outlines: tuple[Outline, ...] | None
    wrong_pixels: int = 0
    dice: float = float("nan")


@dataclass(frozen=True)
class OverlayFigure:
    """One slice with the truth and every model's mask.

    Attributes:
        case_id: the case.
        slice_index: slice in the canonical frame, 0 = lowest.
        slices: number of slices in the volume.
        label: class that the slice was chosen for.
        reasons: why it was chosen, as words.
        size_mm: width and height of the slice.
        view_mm: left, top, width and height of the part that the panels show.
        image_uri: the windowed slice, a data URI.
        truth: the true regions.
        panels: one for each row.
    """

    case_id: str
    slice_index: int
    slices: int
    label: int
    reasons: tuple[str, ...]
    size_mm: tuple[float, float]
    view_mm: Box
    image_uri: str
    truth: tuple[Outline, ...]
    panels: tuple[Panel, ...]


@dataclass(frozen=True, eq=False)
class _OpenCase:
    """The volumes of the one case in memory."""

    image: Volume
    truth: Volume
    masks: Mapping[str, NDArray[np.uint8] | None]


def make_overlays(
    evaluations: Sequence[Evaluation],
    cases: Sequence[CaseFilesLike],
    window_hu: tuple[float, float],
    identity_affine: str | None = None,
) -> list[OverlayFigure]:
    """Shows, for each foreground class, the slices with the largest target and the worst error.

    Args:
        evaluations: comparable rows, in the order wanted. Errors are looked for in the row closest
            to the edge device whose masks were kept.
        cases: the evaluated cases; those that are not given here are not shown. Only the chosen
            ones are read, one at a time.
        window_hu: grey window of the CT.
        identity_affine: as in `read_volume`.

    Returns:
        The figures, see `wished_slices` for which; a slice wanted twice is shown once. A class that
        is in neither truth nor masks gives none.

    Raises:
        GeometryError: if a CT or mask cannot be read or does not fit.
    """
    known = {case.case_id: case for case in cases}
    judged = judged_row(evaluations, known)
    wishes = wished_slices(judged, known)
    figures: dict[int, OverlayFigure] = {}
    for case_id in dict.fromkeys(wish.case_id for wish in wishes):
        image, truth = read_case(known[case_id], identity_affine)
        case = _OpenCase(image, truth, {row.name: _read_mask(row, image) for row in evaluations})
        slices: dict[int, list[SliceWish]] = {}
        for wish in wishes:
            if wish.case_id == case_id:
                index = slice_of(wish, truth.array, case.masks[judged.name])
                slices.setdefault(index, []).append(wish)
        for index, granted in slices.items():
            figures[granted[0].order] = _figure(case, index, granted, judged, window_hu)
    return [figures[order] for order in sorted(figures)]


def _read_mask(row: Evaluation, image: Volume) -> NDArray[np.uint8] | None:
    path = row.mask_path(image.case_id)
    if path is None:
        return None
    # The mask was written on the voxels of this CT: where its affine says nothing, it lies so too.
    axes = image.origin.orientation if image.origin else None
    mask = read_volume(path, kind="mask", case_id=image.case_id, identity_affine=axes)
    if mask.shape != image.shape:
        raise GeometryError(
            f"Case {image.case_id}, {path}: expected the mask of {row.name!r} to have the CT's "
            f"shape {image.shape}. Received {mask.shape}; evaluate this model again."
        )
    return mask.array


def _figure(
    case: _OpenCase,
    index: int,
    granted: Sequence[SliceWish],
    judged: Evaluation,
    window_hu: tuple[float, float],
) -> OverlayFigure:
    label = granted[0].label
    spacing = case.image.spacing_mm[1:]
    truth = case.truth.array[index]
    shown = np.where(truth == IGNORE_LABEL, 0, truth)
    masks = {name: None if mask is None else mask[index] for name, mask in case.masks.items()}
    judged_mask = masks[judged.name]
    present = shown > 0 if judged_mask is None else (shown > 0) | (judged_mask > 0)
    names = judged.table.label_names
    kinds = {"largest": "largest {}", "worst": f"worst error in {{}} by {judged.name}"}
    height, width = (n * mm for n, mm in zip(truth.shape, spacing, strict=True))
    return OverlayFigure(
        case_id=case.image.case_id,
        slice_index=index,
        slices=case.image.shape[0],
        label=label,
        reasons=tuple(kinds[wish.kind].format(names[wish.label]) for wish in granted),
        size_mm=(width, height),
        view_mm=_view_of(present, spacing),
        image_uri=_grey_uri(case.image.array[index], window_hu),
        truth=outlines_of(shown, spacing),
        panels=tuple(
            _panel(name, mask, truth, label, len(names), spacing) for name, mask in masks.items()
        ),
    )


def _panel(
    name: str,
    mask: NDArray[np.uint8] | None,
    truth: NDArray[np.uint8],
    label: int,
    num_classes: int,
    spacing_mm_yx: tuple[float, float],
) -> Panel:
    if mask is None:
        return Panel(name, None)
    wrong = int(((mask != truth) & (truth != IGNORE_LABEL)).sum())
    dice = float(dice_per_class(truth, mask, num_classes)[label])
    return Panel(name, outlines_of(mask, spacing_mm_yx), wrong, dice)


def _view_of(present_yx: NDArray[np.bool_], spacing_mm_yx: tuple[float, float]) -> Box:
    """A square around truth and judged mask, in mm, moved or cut to stay inside the slice."""
    starts, ends = [], []
    for axis, mm in enumerate(spacing_mm_yx):
        hits = np.flatnonzero(present_yx.any(axis=1 - axis))
        first, last = (hits[0], hits[-1] + 1) if hits.size else (0, present_yx.shape[axis])
        starts.append(first * mm)
        ends.append(last * mm)
    extents = [end - start for start, end in zip(starts, ends, strict=True)]
    side = max(_SMALLEST_VIEW_MM, max(extents) + 2 * _MARGIN_MM)
    origins, sizes = [], []
    for axis, mm in enumerate(spacing_mm_yx):
        whole = present_yx.shape[axis] * mm
        size = min(side, whole)
        middle = (starts[axis] + ends[axis]) / 2
        origins.append(float(np.clip(middle - size / 2, 0, whole - size)))
        sizes.append(float(size))
    return origins[1], origins[0], sizes[1], sizes[0]


def _grey_uri(image_hu_yx: NDArray[np.int16], window_hu: tuple[float, float]) -> str:
    """The slice in its window as a grey JPEG, row 0 (the front of the body) on top."""
    low, high = window_hu
    grey = np.clip((image_hu_yx.astype(np.float32) - low) / (high - low), 0, 1) * 255
    buffer = io.BytesIO()
    Image.fromarray(grey.round().astype(np.uint8)).save(
        buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True
    )
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
