"""Dice of several predictors on the same whole volumes, which are read once."""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfkd.cli.progress import progress_bar

if TYPE_CHECKING:
    from tfkd.inference import VolumePredictor
    from tfkd.records import CaseFiles, Manifest
    from tfkd.report.scoring import CaseFilesLike
    from tfkd.volumes import Volume

__all__ = ["WholeVolumeDice"]

_MOST_BYTES = 2**30


class WholeVolumeDice:
    """Scores as `tfkd evaluate` gives them, for one number format after the other.

    Reading and unpacking a volume takes about as long as segmenting it with a small network. So
    volumes are kept, until those that are kept take a given memory; the others are read each time.

    Args:
        manifest: Of the records.
        cases: The volumes and their true masks, as `Manifest.case_files` gives them.
        most_bytes: That the kept volumes may take.
    """

    def __init__(
        self, manifest: "Manifest", cases: "Sequence[CaseFiles]", most_bytes: int = _MOST_BYTES
    ) -> None:
        self._manifest = manifest
        self._cases = tuple(cases)
        self._free_bytes = most_bytes
        self._kept: dict[str, tuple[Volume, Volume]] = {}

    def __call__(self, predictor: "VolumePredictor", name: str) -> dict[str, float]:
        """Mean Dice of each foreground label over the volumes, in [0, 1]; NaN where none counts.

        Args:
            predictor: CT → mask.
            name: Of the predictor, for the progress.
        """
        from tfkd.report import ModelInfo, evaluate

        manifest = self._manifest
        with progress_bar(f"Dice of {name}") as progress:
            table = evaluate(
                predictor,
                self._cases,
                ModelInfo(name),
                manifest.label_names,
                identity_affine=manifest.identity_affine,
                protocol=manifest.protocol,
                progress=progress,
                read=self._read,
            ).table
        return {table.label_names[label]: table.mean_dice(label) for label in table.foreground}

    def context(self) -> str:
        """What Dice depends on besides the model: the volumes, and what is made of them."""
        manifest = self._manifest
        facts = [manifest.case(case.case_id) for case in self._cases]
        volumes = [(fact.case_id, fact.image_sha256, fact.mask_sha256) for fact in facts]
        said: list[Any] = [
            volumes,
            manifest.protocol.name,
            manifest.label_names,
            manifest.target_labels,
            manifest.identity_affine,
        ]
        if manifest.ignored_label is not None:
            said.append({"ignored_label": manifest.ignored_label})
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def _read(self, case: "CaseFilesLike", identity_affine: str | None) -> "tuple[Volume, Volume]":
        from tfkd.report.scoring import read_case

        if case.case_id in self._kept:
            return self._kept[case.case_id]
        both = read_case(case, identity_affine)
        size = sum(volume.array.nbytes for volume in both)
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._kept[case.case_id] = both
        return both
