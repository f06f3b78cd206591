"""A tiny cohort in LiTS17 layout, and the records made of it once."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfkd.records import SplitPlan, find_source, prepare
from tfkd.volumes import PreprocessSpec

PATIENTS = (0, 1, 2, 10)
SLICES = 16
SPEC = PreprocessSpec(size=(32, 40))
SPLIT = SplitPlan(train=["0", "1"], validation=["2"], test=["10"])


def write_nifti(path: Path, array_xyz: np.ndarray) -> Path:
    """Writes a file whose axes run to Left, Posterior and Superior, 1.5 × 1.5 × 3 mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array_xyz, np.diag([-1.5, -1.5, 3.0, 1.0])), path)
    return path


def make_patient(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """CT and labels (48, 48, 16): liver in slices 4-12, a tumour in slices 7 and 8."""
    rng = np.random.default_rng(seed)
    image = rng.normal(-100, 10, (48, 48, SLICES))
    mask = np.zeros(image.shape, np.uint8)
    mask[8:30, 10:36, 4:13] = 1
    mask[14:24, 16:28, 7:9] = 2
    image[mask == 1] = 60
    image[mask == 2] = 20
    image[:4] = -1000
    return np.rint(image).astype(np.int16), mask


def write_cohort(folder: Path, patients: tuple[int, ...] = PATIENTS) -> Path:
    """Writes patients in LiTS17 layout."""
    for number in patients:
        image, mask = make_patient(number)
        write_nifti(folder / f"volume-{number}.nii.gz", image)
        write_nifti(folder / f"segmentation-{number}.nii.gz", mask)
    return folder


@pytest.fixture
def spec() -> PreprocessSpec:
    return SPEC


@pytest.fixture
def split() -> SplitPlan:
    return SPLIT


@pytest.fixture
def patient() -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    return make_patient


@pytest.fixture
def save_nifti() -> Callable[[Path, np.ndarray], Path]:
    return write_nifti


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients; not to be written to."""
    return write_cohort(tmp_path_factory.mktemp("cohort") / "lits")


@pytest.fixture(scope="session")
def mixed_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six patients; 20 and 21 have no mask, and half of 1's lowest liver slice has no label."""
    folder = write_cohort(tmp_path_factory.mktemp("mixed") / "lits", (*PATIENTS, 20, 21))
    for number in (20, 21):
        (folder / f"segmentation-{number}.nii.gz").unlink()
    mask = make_patient(1)[1]
    mask[:, 24:, 4] = 255
    mask[:, :, 0] = 255
    write_nifti(folder / "segmentation-1.nii.gz", mask)
    return folder


@pytest.fixture(scope="session")
def mixed_records(mixed_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of the six patients, those without mask for training."""
    folder = tmp_path_factory.mktemp("mixed-records") / "lits"
    split = SplitPlan(validation=["2"], test=["10"])
    prepare(find_source(mixed_cohort, missing_masks="keep"), folder, SPEC, split=split)
    return folder


@pytest.fixture
def two_patients(tmp_path: Path) -> Path:
    """Two patients of one's own, to damage."""
    return write_cohort(tmp_path / "source", (3, 4))


@pytest.fixture(scope="session")
def records(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of the four patients: two for training, one each for validation and test."""
    folder = tmp_path_factory.mktemp("records") / "lits"
    prepare(cohort, folder, SPEC, split=SPLIT)
    return folder
