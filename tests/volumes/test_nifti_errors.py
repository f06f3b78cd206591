"""Files that cannot be used: each error names the case and the file, and what is wrong."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.volumes import canonical_affine, read_volume

AFFINE = canonical_affine((3.0, 0.8, 0.7), (5.0, 5.0, 5.0))


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(-1024, 1000, (16, 16, 16)).astype(np.int16)


def saved(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def with_value(value: float) -> np.ndarray:
    array = noise().astype(np.float32)
    array[3, 4, 5] = value
    return array


def missing(folder: Path) -> Path:
    return folder / "ct.nii.gz"


def truncated_gz(folder: Path) -> Path:
    file = saved(folder / "ct.nii.gz", noise())
    file.write_bytes(file.read_bytes()[:4000])
    return file


def truncated_header(folder: Path) -> Path:
    file = saved(folder / "ct.nii.gz", noise())
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:200]))
    return file


def truncated_plain(folder: Path) -> Path:
    file = saved(folder / "ct.nii", noise())
    file.write_bytes(file.read_bytes()[:4000])
    return file


def no_gzip(folder: Path) -> Path:
    file = folder / "ct.nii.gz"
    file.write_bytes(b"<html>404 not found</html>")
    return file


def damaged_gz(folder: Path) -> Path:
    file = saved(folder / "ct.nii.gz", noise())
    raw = bytearray(file.read_bytes())
    raw[2000:2100] = bytes(100)
    file.write_bytes(raw)
    return file


def text(folder: Path) -> Path:
    file = folder / "ct.nii"
    file.write_text("not a scan")
    return file


def empty_file(folder: Path) -> Path:
    file = folder / "ct.nii"
    file.touch()
    return file


def other_format(folder: Path) -> Path:
    file = folder / "ct.mgz"
    nib.save(nib.MGHImage(noise(), AFFINE), file)
    return file


def folder_itself(folder: Path) -> Path:
    return folder


def series(folder: Path) -> Path:
    return saved(folder / "ct.nii", np.zeros((4, 4, 4, 2), np.int16))


def flat(folder: Path) -> Path:
    return saved(folder / "ct.nii", np.zeros((4, 4), np.int16))


def zero_size(folder: Path) -> Path:
    file = saved(folder / "ct.nii", noise())
    raw = bytearray(file.read_bytes())
    raw[46:48] = (0).to_bytes(2, "little")  # dim[3]
    file.write_bytes(raw)
    return file


def singular(folder: Path) -> Path:
    file = saved(folder / "ct.nii", noise())
    image = nib.load(file)
    image.header.set_sform(np.diag([1.0, 0.0, 1.0, 1.0]), code=1)
    image = nib.Nifti1Image(noise(), None, image.header)
    nib.save(image, file)
    return file


def colours(folder: Path) -> Path:
    rgb = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    return saved(folder / "ct.nii", rgb)


def complex_numbers(folder: Path) -> Path:
    return saved(folder / "ct.nii", noise().astype(np.complex64))


BAD_CT: list[tuple[Callable[[Path], Path], str]] = [
    (missing, "no such file"),
    (truncated_gz, "cut short"),
    (truncated_plain, "cut short"),
    (damaged_gz, "damaged"),
    (truncated_header, "expected a NIfTI"),
    (no_gzip, "expected a NIfTI"),
    (text, "expected a NIfTI"),
    (empty_file, "expected a NIfTI"),
    (other_format, "expected a NIfTI"),
    (folder_itself, "expected a file. Received a folder"),
    (series, r"one 3-D volume.*\(4, 4, 4, 2\)"),
    (flat, r"one 3-D volume.*\(4, 4\); a single slice must be stored as \(x, y, 1\)"),
    (zero_size, "empty"),
    (singular, "independent axes"),
    (colours, "one number a voxel"),
    (complex_numbers, "one number a voxel"),
    (lambda folder: saved(folder / "ct.nii", with_value(np.nan)), "1 voxels of NaN"),
    (lambda folder: saved(folder / "ct.nii", with_value(-np.inf)), "1 voxels of NaN"),
    (lambda folder: saved(folder / "ct.nii", with_value(4e4)), "fit int16"),
]

BAD_LABELS: list[tuple[Any, str]] = [
    (0.5, "whole-numbered.*0.5.*nearest"),
    (1.002, "whole-numbered"),
    (-1, "0 to 255.*without a label is stored as 255"),
    (256, "0 to 255.*number the labels"),
    (np.nan, "0 to 255.*1 voxels of NaN"),
]


@pytest.mark.parametrize(("make", "message"), BAD_CT)
def test_bad_ct(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    file = make(tmp_path)
    with pytest.raises(GeometryError, match=f"(?s){message}") as caught:
        read_volume(file, case_id="case_0042")
    assert "'case_0042'" in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(("value", "message"), BAD_LABELS)
def test_bad_mask(tmp_path: Path, value: float, message: str) -> None:
    labels = np.zeros((4, 4, 4), np.float32)
    labels[1, 2, 3] = value
    file = saved(tmp_path / "segmentation-7.nii.gz", labels)
    with pytest.raises(GeometryError, match=message) as caught:
        read_volume(file, kind="mask")
    assert "'segmentation-7'" in str(caught.value)
    assert str(file) in str(caught.value)


def test_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='"ct" or "mask"'):
        read_volume(tmp_path / "a.nii", kind="mri")  # type: ignore[arg-type]
