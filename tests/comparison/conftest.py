"""Tiny records, a plan on them, and rows made up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfkd.comparison import Plan
from tfkd.records import Manifest, SplitPlan, prepare
from tfkd.volumes import PreprocessSpec

TEST_CASES = ("volume-2", "volume-3")
TABLES: dict[str, Any] = {
    "seeds": [0, 1],
    "training": {"epochs": 2, "steps_per_epoch": 2, "batch_size": 2, "checkpoint_minutes": 0},
    "teachers": {"big": {"network": "UNet", "width": 0.1, "epochs": 1}},
    "students": {"small": {"network": "UNet", "width": 0.05}},
    "methods": {
        "kd": {"losses": [{"loss": "PredictionMapDistillation", "weight": 0.5}], "ramp_epochs": 1}
    },
}


def _write_patient(folder: Path, number: int) -> None:
    """8 slices of 32 × 32: a liver in five of them, a tumour in two."""
    mask = np.zeros((32, 32, 8), np.uint8)
    mask[8:24, 8:26, 2:7] = 1
    mask[12:18, 12:18, 3:5] = 2
    image = np.random.default_rng(number).normal(-100, 10, mask.shape)
    image[mask == 1] += 160
    image[mask == 2] += 120
    affine = np.diag([-1.5, -1.5, 3.0, 1.0])
    folder.mkdir(exist_ok=True)
    for name, array in (("volume", np.rint(image).astype(np.int16)), ("segmentation", mask)):
        nib.save(nib.Nifti1Image(array, affine), folder / f"{name}-{number}.nii.gz")


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of two training and two test patients; not to be written to."""
    folder = tmp_path_factory.mktemp("comparison")
    for number in range(4):
        _write_patient(folder / "lits", number)
    split = SplitPlan(train=["0", "1"], validation=[], test=["2", "3"])
    prepare(folder / "lits", folder / "records", PreprocessSpec(size=(32, 32)), split=split)
    return folder / "records"


@pytest.fixture(scope="session")
def manifest(records: Path) -> Manifest:
    return Manifest.load(records)


@pytest.fixture
def make_plan(records: Path) -> Callable[..., Plan]:
    """The plan of `TABLES`, with some arguments changed."""

    def make(**changed: Any) -> Plan:
        return Plan(**{"records": records, **TABLES, **changed})

    return make


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """A row for a job, with Dice for `TEST_CASES` or others."""

    def make(job: Any, dice: dict[str, list[float | None]] | None = None, **more: Any) -> dict:
        dice = dice or {case: [0.8, 0.4] for case in TEST_CASES}
        columns = [
            [one for one in column if one is not None]
            for column in zip(*dice.values(), strict=True)
        ]
        mean = float(np.mean([np.mean(column) for column in columns if column]))
        return {
            "identity": job.identity,
            "dice": dice,
            "mean_dice": mean,
            "parameters": 1000,
            "epochs": 2,
            "steps": 4,
            "ms_per_step": 10.0,
            "int8": None,
            "seconds": {"training": 60.0, "scoring": 1.0, "export": 0.0},
            "machine": "Linux x86_64, 2 CPU cores",
            **more,
        }

    return make
