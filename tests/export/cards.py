"""Records, scores and a training that a model card may speak of."""

from typing import Any

import numpy as np

from tfkd.evaluation import Evaluation, ModelInfo
from tfkd.inference import Contract
from tfkd.metrics import CaseTable
from tfkd.records import CaseRecord, Manifest
from tfkd.records.manifest import Shard

__all__ = ["evaluation_of", "manifest_of", "run_record"]


def manifest_of(contract: Contract, **changes: Any) -> Manifest:
    """Two cases of one patient to train on, three of two patients to test on."""
    cases = [
        _case("t-1", "patient-t", 1.0, ((3, ()), (7, (1,)))),
        _case("t-2", "patient-t", 5.0, ((8, ()), (2, (1, 2)))),
        _case("a-1", "patient-a", 2.0, ((10, ()),)),
        _case("a-2", "patient-a", 2.0, ((10, ()),)),
        _case("b-1", "patient-b", 2.0, ((10, ()),)),
    ]
    splits = {"train": ("t-1", "t-2"), "validation": (), "test": ("a-1", "a-2", "b-1")}
    facts: dict[str, Any] = {
        "name": "lits17",
        "spec": contract.spec,
        "label_names": contract.label_names,
        "splits": splits,
        "cases": tuple(cases),
        "shards": tuple(
            Shard(f"{split}.tfrecord", split, ids, 10 * len(ids), 1, "0" * 64)
            for split, ids in splits.items()
            if ids
        ),
        "source_root": "/home/someone/lits",
        "identity_affine": None,
        "tfkd_version": "0",
    }
    return Manifest(**facts | changes)


def _case(case_id: str, patient: str, distance_mm: float, runs: Any) -> CaseRecord:
    spacing_mm = (distance_mm, 0.7, 0.9)
    files = (f"{case_id}.nii", f"{case_id}-mask.nii", "0" * 64, "1" * 64)
    return CaseRecord(case_id, patient, *files, (10, 64, 64), spacing_mm, runs)


def evaluation_of(contract: Contract, dice: dict[str, float], **changes: Any) -> Evaluation:
    """Scores of the liver, case by case, of the contract's own file; no case has a tumour."""
    table = CaseTable((), contract.label_names)
    for case_id, score in dice.items():
        # Of 20 voxels on either side together, 20 · score / 2 are in both.
        truth, predicted = np.zeros(40, np.uint8), np.zeros(40, np.uint8)
        truth[:10] = 1
        start = 10 - round(10 * score)
        predicted[start : start + 10] = 1
        table = table.with_case(case_id, truth, predicted, 0.001)
    model = ModelInfo(
        "int8 file", "int8", contract.file, None, contract.size_bytes, sha256=contract.sha256
    )
    facts: dict[str, Any] = {"environment": {"date": "2026-01-01"}}
    return Evaluation(model, table, **facts | changes)


def run_record() -> dict[str, Any]:
    """A run.json as `tfkd distill` leaves it."""
    return {
        "command": "distill",
        "started_utc": "2026-01-01T00:00:00+00:00",
        "finished_utc": "2026-01-01T01:00:00+00:00",
        "seed": 3,
        "config": {"network": "ENet", "width": 0.5, "out": "/home/someone/run", "method": "emkd"},
        "versions": {"tfkd": "0", "keras": "3.15.1"},
        "trained_on": ["t-1", "t-2"],
        "teachers": [{"file": "/home/someone/teacher/model.keras", "fingerprint": "f"}],
        "epochs_run": 9,
        "best": {"epoch": 7, "val_dice": 0.81234},
        "weights": 91_746,
    }
