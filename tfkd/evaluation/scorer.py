"""Whole volumes that one model after the other is scored on."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd.evaluation.cases import CaseFilesLike, read_case
from tfkd.evaluation.evaluate import Progress, evaluate
from tfkd.evaluation.evaluation import Evaluation, ModelInfo
from tfkd.metrics import DEFAULT_EMPTY, EmptyPolicy
from tfkd.volumes import Volume

if TYPE_CHECKING:
    from tfkd.records import Manifest

__all__ = ["CaseDice", "VolumeScorer"]

CaseDice = dict[str, list[float | None]]
"""By case, the Dice of every foreground label in [0, 1], or None where it is nowhere."""

_MEMORY_SHARE = 0.2


class VolumeScorer:
    """Scores models on the volumes of records, each with the file or network itself.

    Reading and unpacking a volume takes about as long as segmenting it with a small network. So
    volumes are kept, until those that are kept take a given memory; the others are read each time.

    Args:
        manifest: Of the records: labels, protocol, and what volumes were prepared from.
        cases: The volumes and their true masks, such as `manifest.case_files("test")`.
        memory_bytes: What the kept volumes may take; None for a fifth of the machine's memory, 0
            to keep none.
    """

    def __init__(
        self,
        manifest: "Manifest",
        cases: Sequence[CaseFilesLike],
        *,
        memory_bytes: int | None = None,
    ) -> None:
        self._manifest = manifest
        self._cases = tuple(cases)
        if memory_bytes is None:
            memory_bytes = int(_MEMORY_SHARE * _machine_memory_bytes())
        self._free_bytes = memory_bytes
        self._kept: dict[str, tuple[Volume, Volume]] = {}

    def evaluate(
        self,
        predictor: Callable[[Volume], Volume],
        model: ModelInfo,
        *,
        masks_dir: Path | None = None,
        empty: EmptyPolicy = DEFAULT_EMPTY,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Counts, times and, if wanted, masks of one model; see `tfkd.evaluation.evaluate`.

        Args:
            predictor: CT → mask of the same shape.
            model: The row's name, role and costs.
            masks_dir: Folder to keep the masks in; None keeps none.
            empty: What a class scores in a case where neither truth nor mask holds it.
            progress: Called as `progress(done, total, case_id)`.

        Raises:
            RecordError: On no case, a case without a truth or with labels out of range.
            GeometryError: On an unreadable case, or a mask of another shape or label range.
        """
        return evaluate(
            predictor,
            self._cases,
            model,
            self._manifest.label_names,
            masks_dir=masks_dir,
            identity_affine=self._manifest.identity_affine,
            empty=empty,
            protocol=self._manifest.protocol,
            progress=progress,
            read=self._read,
        )

    def dice(
        self, predictor: Callable[[Volume], Volume], progress: Progress | None = None
    ) -> CaseDice:
        """Dice of every case and foreground label, to six digits, as the rows of a study keep it.

        Args:
            predictor: CT → mask of the same shape.
            progress: Called as `progress(done, total, case_id)`.

        Returns:
            For each case the labels in their order, in [0, 1]; None where neither truth nor mask
            holds one. A false positive on an empty truth and a miss score 0.
        """
        table = self.evaluate(predictor, ModelInfo("model"), progress=progress).table
        by_label = [table.per_case(label) for label in table.foreground]
        return {
            case_id: [None if score != score else round(float(score), 6) for score in scores]
            for case_id, scores in zip(table.case_ids, zip(*by_label, strict=True), strict=True)
        }

    def label_dice(
        self,
        predictor: Callable[[Volume], Volume],
        name: str = "model",
        progress: Progress | None = None,
    ) -> dict[str, float]:
        """Mean Dice of each foreground label over the volumes, in [0, 1]; NaN where none counts.

        Args:
            predictor: CT → mask of the same shape.
            name: Of the predictor, for messages.
            progress: Called as `progress(done, total, case_id)`.
        """
        table = self.evaluate(predictor, ModelInfo(name), progress=progress).table
        return {table.label_names[label]: table.mean_dice(label) for label in table.foreground}

    def context(self) -> str:
        """SHA-256 of what Dice depends on besides the model: the volumes, and how they are read."""
        manifest = self._manifest
        records = [manifest.case(case.case_id) for case in self._cases]
        facts: list[Any] = [
            [(case.case_id, case.image_sha256, case.mask_sha256) for case in records],
            manifest.protocol.name,
            manifest.label_names,
            manifest.target_labels,
            manifest.identity_affine,
        ]
        if manifest.ignored_label is not None:
            facts.append({"ignored_label": manifest.ignored_label})
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _read(self, case: CaseFilesLike, identity_affine: str | None) -> tuple[Volume, Volume]:
        if case.case_id in self._kept:
            return self._kept[case.case_id]
        both = read_case(case, identity_affine)
        size = sum(volume.array.nbytes for volume in both)
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._kept[case.case_id] = both
        return both


def _machine_memory_bytes() -> int:
    """Physical memory; 0 where the system does not say, as on Windows."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
