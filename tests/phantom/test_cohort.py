"""The phantom cohort as files: layout, determinism, resuming, bad folders."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.phantom import write_phantom_cohort
from tfkd.volumes import read_volume

SHAPE = (14, 64, 64)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom_cohort(tmp_path_factory.mktemp("cohort"), 3, seed=5, shape_zyx=SHAPE)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_layout_is_that_of_lits17(cohort):
    names = {f"{kind}-{n}.nii.gz" for kind in ("volume", "segmentation") for n in range(3)}
    assert set(contents(cohort)) == names
    for n in range(3):
        image = nibabel.load(cohort / f"volume-{n}.nii.gz")
        mask = nibabel.load(cohort / f"segmentation-{n}.nii.gz")
        assert image.shape == mask.shape
        assert image.shape[:2] == SHAPE[1:]
        assert image.get_data_dtype() == np.int16
        assert mask.get_data_dtype() == np.uint8
        assert np.array_equal(image.affine, mask.affine)
        assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
        assert image.header["qform_code"] == image.header["sform_code"] == 1
        assert set(np.unique(mask.dataobj)) <= {0, 1, 2}
        assert not np.any(mask.affine[:3, 3] == 0)


def test_reads_back_with_the_liver_on_the_right_and_the_spine_at_the_back(cohort):
    # Canonical LPS+: x grows to the patient's left, y to the back.
    for n in range(3):
        mask = read_volume(cohort / f"segmentation-{n}.nii.gz", kind="mask").array
        assert np.nonzero(mask)[2].mean() < SHAPE[2] / 2 - 3
        hu = read_volume(cohort / f"volume-{n}.nii.gz", kind="ct").array.clip(-200, 400)
        front, back = hu[:, 16:28, 28:36], hu[:, 36:48, 28:36]
        assert back.mean() > front.mean() + 20


def test_same_seed_same_bytes_and_other_seed_other_bytes(cohort, tmp_path):
    again = write_phantom_cohort(tmp_path / "again", 1, seed=5, shape_zyx=SHAPE)
    other = write_phantom_cohort(tmp_path / "other", 1, seed=6, shape_zyx=SHAPE)
    for name, data in contents(again).items():
        assert data == (cohort / name).read_bytes()
        assert data != (other / name).read_bytes()


def test_resumes_where_it_stopped_and_leaves_complete_patients_alone(cohort, tmp_path):
    for path in cohort.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "volume-1.nii.gz").unlink()
    kept = [tmp_path / f"{kind}-0.nii.gz" for kind in ("volume", "segmentation")]
    before = [path.stat().st_mtime_ns for path in kept]
    calls = []
    write_phantom_cohort(
        tmp_path, 3, seed=5, shape_zyx=SHAPE, progress=lambda *args: calls.append(args)
    )
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert contents(tmp_path) == contents(cohort)
    assert [call[:2] for call in calls] == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_with_other_files_is_refused_and_left_alone(cohort, tmp_path):
    path = tmp_path / "volume-0.nii.gz"
    path.write_bytes((cohort / "volume-0.nii.gz").read_bytes())
    with pytest.raises(RecordError, match=r"volume-0\.nii\.gz.*seed 9.*seed 5.*another folder"):
        write_phantom_cohort(tmp_path, 1, seed=9, shape_zyx=SHAPE)
    path.write_bytes(b"not an image")
    with pytest.raises(RecordError, match="not NIfTI"):
        write_phantom_cohort(tmp_path, 1, seed=5, shape_zyx=SHAPE)
    assert contents(tmp_path) == {"volume-0.nii.gz": b"not an image"}


@pytest.mark.parametrize(
    "options", [{"patients": 0}, {"seed": -1}, {"shape_zyx": (32, 160, 16)}, {"shape_zyx": (1, 2)}]
)
def test_bad_arguments_say_what_was_received(tmp_path, options):
    with pytest.raises(ValueError, match="Received"):
        write_phantom_cohort(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()
