"""A folder of phantom patients as real NIfTI files in LiTS17 layout."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

from tfkd.errors import RecordError
from tfkd.phantom.case import PhantomCase, make_case
from tfkd.volumes.files import atomic_path

__all__ = ["write_phantom_cohort"]

# Part of every file's description: a change of the anatomy must change it.
VERSION = 2
MIN_SHAPE_ZYX = (12, 64, 64)


def write_phantom_cohort(
    folder: str | os.PathLike[str],
    patients: int = 24,
    *,
    seed: int = 0,
    shape_zyx: tuple[int, int, int] = (32, 160, 160),
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write a cohort of synthetic abdominal CTs with liver and tumour masks.

    Each patient becomes `volume-N.nii.gz` (int16 HU) and `segmentation-N.nii.gz` (uint8: 0
    background, 1 liver, 2 tumour), slices on the last axis, with spacing and origin in the
    affine, as in LiTS17. Build, position, contrast phase, organ values, spacing (0.6 to 0.9 mm
    at 512 columns, slices of 2 to 5 mm), noise and 0 to 4 tumours of 5 to 40 mm vary; every
    eighth patient or so has no tumour. Cysts, focal fat, the gallbladder and unfilled vessels
    look like tumours and are not labelled.

    A patient depends on `seed`, its number and `shape_zyx` only, so a cohort can be enlarged
    later. Patients that are already there are left alone; each file appears whole or not at all.

    Args:
        folder: Where to write; made when missing.
        patients: How many, numbered from 0.
        seed: Seed of all randomness.
        shape_zyx: Slices, rows, columns. The number of slices varies by a quarter about it.
        progress: Called as `progress(done, total, text)` after each patient.

    Returns:
        The folder.

    Raises:
        ValueError: A number is out of range.
        RecordError: The folder holds a volume or mask of another cohort under one of the names.

    Example:
        >>> folder = write_phantom_cohort("phantoms", patients=2)  # doctest: +SKIP
    """
    shape = _check(patients, seed, shape_zyx)
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    for index in range(patients):
        _write_patient(root, index, seed, shape)
        if progress is not None:
            progress(index + 1, patients, f"phantom {index}")
    return root


def _check(patients: int, seed: int, shape_zyx: tuple[int, int, int]) -> tuple[int, int, int]:
    if patients < 1:
        raise ValueError(f"Expected at least 1 patient. Received: patients={patients}")
    if seed < 0:
        raise ValueError(f"Expected a seed of 0 or more. Received: seed={seed}")
    big = [n >= low for n, low in zip(shape_zyx, MIN_SHAPE_ZYX, strict=False)]
    if len(shape_zyx) != 3 or not all(big):
        raise ValueError(
            f"Expected a shape of at least {MIN_SHAPE_ZYX} slices, rows and columns, which is "
            f"what the organs need to be seen. Received: shape_zyx={tuple(shape_zyx)}"
        )
    return int(shape_zyx[0]), int(shape_zyx[1]), int(shape_zyx[2])


def _write_patient(root: Path, index: int, seed: int, shape: tuple[int, int, int]) -> None:
    mark = f"tfkd phantom {VERSION}, seed {seed}, patient {index}, {'x'.join(map(str, shape))}"
    # The volume is written last: where it is, the patient is complete.
    paths = (root / f"segmentation-{index}.nii.gz", root / f"volume-{index}.nii.gz")
    for path in paths:
        if path.exists():
            _check_mark(path, mark, index)
    if all(path.exists() for path in paths):
        return
    case = make_case(seed, index, shape)
    affine = _affine(case, np.random.default_rng([seed, index, 2]))
    for path, array in zip(paths, (case.labels, case.image_hu), strict=True):
        _write(path, array, affine, mark)


def _check_mark(path: Path, mark: str, index: int) -> None:
    try:
        found = bytes(nibabel.nifti1.Nifti1Image.from_filename(path).header["descrip"].item())
    except Exception as error:  # nibabel raises many kinds for a file that is no NIfTI
        raise RecordError(_foreign(path, index, mark, "a file that is not NIfTI")) from error
    text = found.rstrip(b"\0").decode("latin-1")
    if text != mark:
        raise RecordError(_foreign(path, index, mark, f"'{text}'" if text else "another volume"))


def _foreign(path: Path, index: int, mark: str, received: str) -> str:
    return (
        f"Phantom {index} cannot be written to {path}: expected no file or '{mark}', received "
        f"{received}. Choose another folder, or remove the file."
    )


def _affine(case: PhantomCase, rng: np.random.Generator) -> np.ndarray:
    """Index to RAS+ mm for columns that run to the left, rows to the back, slices to the head."""
    z_mm, y_mm, x_mm = case.patient.spacing_mm
    _, rows, columns = case.labels.shape
    affine = np.diag([-x_mm, -y_mm, z_mm, 1.0])
    # Tables stand off centre, and scans count from the pelvis or from the head.
    affine[0, 3] = (columns - 1) / 2 * x_mm + rng.uniform(-15, 15)
    affine[1, 3] = (rows - 1) / 2 * y_mm + rng.uniform(-40, 40)
    affine[2, 3] = rng.uniform(-900, 300)
    return np.round(affine, 4)


def _write(path: Path, array_zyx: np.ndarray, affine: np.ndarray, mark: str) -> None:
    image = nibabel.nifti1.Nifti1Image(np.asfortranarray(array_zyx.transpose(2, 1, 0)), affine)
    image.header["descrip"] = mark.encode()
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    with atomic_path(path) as temporary:
        # No time stamp, so that the same patient gives the same bytes.
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
