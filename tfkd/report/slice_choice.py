"""Which slices of which cases the report shows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfkd.evaluation import Evaluation
from tfkd.report.side_by_side import deployed_row

__all__ = ["MAX_CLASSES", "SliceWish", "judged_row", "slice_of", "wished_slices"]

MAX_CLASSES = 3
"""Classes that get figures; with more, those that the judged model finds hardest."""


@dataclass(frozen=True)
class SliceWish:
    """A slice that the report wants to show, before its volume has been read.

    Attributes:
        order: place in the report.
        case_id: the case.
        label: class that it is wanted for.
        kind: the largest target of the class, or the worst error in it.
    """

    order: int
    case_id: str
    label: int
    kind: Literal["largest", "worst"]


def judged_row(evaluations: Sequence[Evaluation], case_ids: Collection[str]) -> Evaluation:
    """The row whose errors are looked for: the deployed one among those that kept masks."""
    kept = [
        row
        for row in evaluations
        if any(row.mask_path(case_id) is not None for case_id in case_ids)
    ]
    return deployed_row(kept or evaluations)


def wished_slices(judged: Evaluation, case_ids: Collection[str]) -> list[SliceWish]:
    """Chooses cases from the counts alone, without reading a volume.

    Args:
        judged: the row whose errors are looked for.
        case_ids: cases that can be shown.

    Returns:
        For each of `MAX_CLASSES` classes the case of most true millilitres and the case of most
        wrong voxels. A class without a true voxel has no largest target, one without an error or
        whose mask was not kept no worst error.
    """
    table = judged.table
    rows = {
        label: [row for row in table.of_label(label) if row.case_id in case_ids]
        for label in table.foreground
    }
    held = [label for label in rows if any(not row.is_empty for row in rows[label])]
    hardest = sorted(sorted(held, key=table.mean_dice)[:MAX_CLASSES])
    wishes = []
    for order, label in enumerate(hardest):
        largest = max(rows[label], key=lambda row: row.truth_ml)
        if largest.truth_voxels:
            wishes.append(SliceWish(2 * order, largest.case_id, label, "largest"))
        worst = max(rows[label], key=lambda row: row.wrong_voxels)
        if worst.wrong_voxels and judged.mask_path(worst.case_id):
            wishes.append(SliceWish(2 * order + 1, worst.case_id, label, "worst"))
    return wishes


def slice_of(
    wish: SliceWish, truth: NDArray[np.uint8], prediction: NDArray[np.uint8] | None
) -> int:
    """The slice of a case that fulfils a wish.

    Args:
        wish: what is wanted; its case is the one whose masks are given.
        truth: labels, (Z, Y, X).
        prediction: labels of the judged row, the same shape; needed for a worst error.

    Returns:
        Index z of the slice with most pixels of the class, or with most wrong pixels in it; the
        lowest of equals.
    """
    region = truth == wish.label
    if wish.kind == "worst" and prediction is not None:
        region ^= prediction == wish.label
    return int(region.sum(axis=(1, 2)).argmax())
