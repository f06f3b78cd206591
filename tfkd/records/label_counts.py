"""How much of a label the masks of some cases hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfkd.records.manifest import CaseRecord

__all__ = ["LabelCount", "count_label"]


@dataclass(frozen=True)
class LabelCount:
    """One label in some cases.

    Attributes:
        name: Name of the label.
        cases: Cases whose slices in the records hold it.
        slices: Slices of the records that hold it.
        voxels: Its voxels in the masks themselves; None where records of an earlier version do not
            say.
        volume_ml: Their volume in millilitres, or None.
    """

    name: str
    cases: int
    slices: int
    voxels: int | None
    volume_ml: float | None


def count_label(label: int, name: str, cases: Sequence["CaseRecord"]) -> LabelCount:
    """Counts a label.

    Args:
        label: Its value, above 0.
        name: Its name.
        cases: The cases; those without mask count nothing.
    """
    slices = [case.slices_with(label) for case in cases]
    masked = [case for case in cases if case.mask is not None]
    known = all(case.voxels_per_label for case in masked)
    voxels = [case.voxels_per_label[label] for case in masked] if known else []
    volumes_mm3 = [float(np.prod(case.spacing_mm)) for case in masked]
    return LabelCount(
        name=name,
        cases=sum(count > 0 for count in slices),
        slices=sum(slices),
        voxels=sum(voxels) if known else None,
        volume_ml=(
            sum(n * mm3 for n, mm3 in zip(voxels, volumes_mm3, strict=True)) / 1000
            if known
            else None
        ),
    )
