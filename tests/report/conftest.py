"""A tiny cohort on disk and models whose errors are known by construction."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfkd.evaluation import CasePaths, Evaluation, ModelInfo, evaluate
from tfkd.volumes import Volume, canonical_affine, write_volume

LABEL_NAMES = ("background", "liver", "tumour")
SPACING_MM = (5.0, 2.0, 1.0)
SHAPE = (6, 20, 40)

ROWS: tuple[tuple[str, str, int, int], ...] = (
    # name, role, rows of voxels cut off the top of every region, file bytes
    ("teacher", "teacher", 0, 8_000_000),
    ("plain student", "plain", 3, 400_000),
    ("distilled student", "distilled", 1, 400_000),
    ("float file", "float32", 1, 380_000),
    ("int8 file", "int8", 2, 100_000),
)


def true_labels(case: int) -> np.ndarray:
    """Liver of 10 x 20 pixels on slices 1 to 4; a tumour in it, except in case 2."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 5:15, 5 : 25 + case] = 1
    if case != 2:
        labels[2:4, 8:13, 10 : 14 + case] = 2
    return labels


@pytest.fixture(scope="session")
def cases(tmp_path_factory) -> tuple[CasePaths, ...]:
    """Three patients as NIfTI files of anisotropic voxels."""
    folder = tmp_path_factory.mktemp("cohort")
    paths = []
    for case in range(3):
        labels = true_labels(case)
        image = np.where(labels > 0, 60, -100).astype(np.int16)
        affine = canonical_affine(SPACING_MM, (10.0, -4.0, 3.0))
        case_id = f"case-{case}"
        one = CasePaths(case_id, folder / f"ct-{case}.nii.gz", folder / f"mask-{case}.nii.gz")
        write_volume(Volume(image, affine, case_id), one.image)
        write_volume(Volume(labels, affine, case_id), one.mask)
        paths.append(one)
    return tuple(paths)


@pytest.fixture(scope="session")
def cut_top() -> Callable[[int], Callable[[Volume], Volume]]:
    """Builds a "model" that misses the top rows of the liver and of the tumour."""

    def build(rows: int) -> Callable[[Volume], Volume]:
        def predict(volume: Volume) -> Volume:
            labels = true_labels(int(volume.case_id[-1]))
            for label in (1, 2):
                present = np.flatnonzero((labels == label).any(axis=(0, 2)))
                for row in present[:rows]:
                    labels[:, row][labels[:, row] == label] = 0
            return volume.with_array(labels)

        return predict

    return build


@pytest.fixture(scope="session")
def evaluations(cases, cut_top, tmp_path_factory) -> tuple[Evaluation, ...]:
    """Teacher, both students and two files, with their masks."""
    folder: Path = tmp_path_factory.mktemp("masks")
    return tuple(
        dataclasses.replace(
            evaluate(
                cut_top(rows),
                cases,
                ModelInfo(name, role, f"{role}.bin", size // 4, size, size / 100_000),
                LABEL_NAMES,
                masks_dir=folder / role,
            ),
            seconds_per_volume=0.5,
        )
        for name, role, rows, size in ROWS
    )
