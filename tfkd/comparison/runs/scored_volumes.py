"""The volumes that every row is scored on."""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfkd.metrics import dice_per_class
from tfkd.report.scoring import counted_slices, read_case
from tfkd.volumes import Volume

if TYPE_CHECKING:
    from tfkd.records import Manifest

__all__ = ["Dice", "ScoredVolumes"]

Dice = dict[str, list[float | None]]
"""By case, the Dice of every foreground label in [0, 1], or None where it is nowhere."""

# Part of the memory that volumes may take to be read but once.
_MEMORY_SHARE = 0.2
_BYTES_PER_VOXEL = 3  # int16 HU and a uint8 label


class ScoredVolumes:
    """Whole volumes of the test split; kept in memory where they fit, for the next row.

    Args:
        manifest: Manifest of the records.
        source: Folder of the volumes, if it is not where the records were made from.

    Raises:
        RecordError: If the split is empty, or a file is gone or was changed.
    """

    def __init__(self, manifest: "Manifest", source: str | Path | None = None) -> None:
        self._cases = manifest.case_files("test", source, verify=True)
        self._identity_affine = manifest.identity_affine
        self._label_names = manifest.label_names
        self._protocol = manifest.protocol
        voxels = sum(math.prod(case.shape) for case in manifest.cases_of("test"))
        self._keeps = voxels * _BYTES_PER_VOXEL < _MEMORY_SHARE * _memory_bytes()
        self._kept: dict[str, tuple[Volume, Volume]] = {}

    def dice(
        self,
        predictor: Callable[[Volume], Volume],
        progress: Callable[[int, int, str], None] | None = None,
    ) -> Dice:
        """Scores a model.

        Args:
            predictor: CT → mask of the same shape.
            progress: Called as `progress(done, total, case_id)`.

        Returns:
            For each case, the Dice of every foreground label in [0, 1], in the order of the labels;
            None where neither truth nor mask holds it.
        """
        scores: Dice = {}
        for image, truth in self._volumes():
            if progress is not None:
                progress(len(scores), len(self._cases), image.case_id)
            mask = predictor(image)
            counted = counted_slices(truth, self._protocol)
            dice = dice_per_class(
                truth.array[counted], mask.array[counted], len(self._label_names)
            )[1:]
            scores[image.case_id] = [None if np.isnan(x) else round(float(x), 6) for x in dice]
        return scores

    def _volumes(self) -> Iterator[tuple[Volume, Volume]]:
        for case in self._cases:
            pair = self._kept.get(case.case_id)
            if pair is None:
                pair = read_case(case, self._identity_affine)
            if self._keeps:
                self._kept[case.case_id] = pair
            yield pair


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0
