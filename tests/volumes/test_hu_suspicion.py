"""CT that cannot be HU is told; CT that is cropped, cut, padded or with metal is not."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfkd.volumes import (
    HUStatistics,
    read_volume,
    told_if_not_hu,
    warn_if_not_hu,
    write_phantom_cohort,
)


@pytest.fixture(scope="module")
def hu(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """(Z, Y, X) of a phantom."""
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom_cohort(folder, patients=1, shape_zyx=(12, 64, 64))
    return read_volume(folder / "volume-0.nii.gz").array


def suspicion(array: np.ndarray) -> str | None:
    seen = HUStatistics()
    for plane in array:
        seen.add(plane)
    return seen.suspicion()


def grey(low: int, high: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda hu: 255 * np.clip((hu - float(low)) / (high - low), 0, 1)


def cut(low: int, high: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda hu: np.clip(hu, low, high)


@pytest.mark.parametrize(
    ("change", "looks"),
    [
        (lambda hu: np.clip((hu + 1000.0) / 2000, 0, 1), "scaled to 0"),
        (lambda hu: np.clip(hu / 200.0, -1, 1), "scaled to 0"),
        (lambda hu: (hu - hu.mean()) / hu.std(), "scaled to 0"),
        (lambda hu: np.clip(hu + 1024, 0, 4095), "air at 0"),
        (lambda hu: np.clip(hu + 1000, 0, 4095), "air at 0"),
        (lambda hu: np.clip(hu + 1024, 0, 4095)[4:8, 20:44, 20:44], "air at 0"),
        (lambda hu: hu + 8192, "above 1500"),
        (lambda hu: np.clip(hu - 2048, -4096, None), "soft tissue"),
        (grey(-1024, 1024), "eight bits"),
        (grey(-160, 240), "eight bits"),
        (grey(-1000, 400), "eight bits"),
    ],
)
def test_what_is_no_hu(hu: np.ndarray, change: Callable, looks: str) -> None:
    numbers = np.rint(change(hu)).astype(np.int16)
    assert looks in str(suspicion(numbers))
    with pytest.warns(UserWarning, match=rf"'p7'.*expected Hounsfield.*{looks}"):
        warn_if_not_hu(numbers, "p7")


def with_padding_and_metal(hu: np.ndarray) -> np.ndarray:
    changed = hu.copy()
    changed[:, :8] = -3024
    changed[:, -8:] = -2000
    changed[5, 30:33, 30:33] = (3071, 14000, 30000)
    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda hu: hu,
        lambda hu: hu[4:8, 20:44, 20:44],
        cut(-40, 160),  # of our copies of LiTS17
        cut(-125, 275),  # of the BTCV baselines
        cut(0, 80),
        cut(0, 200),
        cut(0, 250),
        cut(30, 70),
        with_padding_and_metal,
        lambda hu: np.zeros_like(hu),
    ],
)
def test_what_is_hu(hu: np.ndarray, change: Callable) -> None:
    assert suspicion(change(hu)) is None


def test_slices_pass_unchanged_and_the_line_comes_last(hu: np.ndarray) -> None:
    numbers = (hu + 1024).astype(np.int16)
    passing = told_if_not_hu(numbers, "p7")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        planes = [next(passing) for _ in numbers]
    np.testing.assert_array_equal(planes, numbers)
    with pytest.warns(UserWarning, match="1024"):
        assert next(passing, None) is None


@pytest.mark.parametrize("folder", ["lits17", "kits19/data", "Dataset901_AbdomenCT/imagesTr"])
def test_real_ct_is_hu(shared_data: Path, folder: str) -> None:
    files = sorted((shared_data / folder).rglob("*.nii.gz"))
    path = next(f for f in files if not f.name.startswith("segmentation"))
    assert suspicion(read_volume(path).array) is None
