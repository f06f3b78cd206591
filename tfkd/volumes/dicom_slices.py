"""A CT as a folder of DICOM files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.ct_slices import CTSlices
from tfkd.volumes.frame import CanonicalFrame
from tfkd.volumes.hu import to_hu

__all__ = ["DicomSlices"]

# Positions are written with few digits, and scanners place slices to some hundredths of a mm. A
# tenth of the distance is far above that, and far below a slice that is missing.
_GAP_TOLERANCE = 0.1
_DUPLICATE_MM = 1e-3
_DIRECTION_TOLERANCE = 1e-3
# Slices that lie by more than half a pixel beside each other would need resampling.
_SHIFT_TOLERANCE_PIXELS = 0.5

_RAS_OF_LPS = np.diag([-1.0, -1.0, 1.0])
_TAGS = (
    *("Modality", "SeriesInstanceUID", "NumberOfFrames", "Rows", "Columns", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"),
)
_MAY_BE_ABSENT = ("NumberOfFrames", "SliceThickness")


@dataclass(frozen=True, eq=False)
class _File:
    path: Path
    series: str
    shape: tuple[int, int]
    pixel_mm: np.ndarray  # between rows, between columns
    rows_and_columns: np.ndarray  # (2, 3) directions in which columns and rows are counted
    position_mm: np.ndarray  # LPS
    thickness_mm: float


class DicomSlices(CTSlices):
    """The axial slices of one CT series, one file a slice, sorted by their positions.

    HU are the stored numbers with the file's rescale slope and intercept, rounded. Files that are
    no DICOM, or not of a CT, are passed over. Only one slice at a time lies in memory.

    Args:
        folder: Folder of the files; its subfolders are not looked into.
        case_id: Name of the case; by default the folder's name.

    Raises:
        GeometryError: The folder holds no CT or several series, slices differ in size, direction or
            pixel size, lie upon each other, are missing, or are shifted against each other, as by
            a tilted gantry, or are not axial. The message names the file.
        ImportError: pydicom is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], *, case_id: str | None = None) -> None:
        folder = Path(folder)
        self.case_id = folder.resolve().name if case_id is None else case_id
        self._where = f"Case {self.case_id!r}, folder {folder}"
        files = _read_headers(folder, self._where)
        _check_alike(files, self._where)
        normal = np.cross(*files[0].rows_and_columns)
        files.sort(key=lambda file: float(file.position_mm @ normal))
        step_mm = _checked_step_mm(files, normal, self._where)
        self.files = [file.path for file in files]
        first = files[0]
        affine = np.eye(4)
        # The first axis of a slice, along a row, steps from column to column.
        between_columns, between_rows = first.pixel_mm[1], first.pixel_mm[0]
        axes = np.stack([*first.rows_and_columns, normal], axis=1)
        affine[:3, :3] = _RAS_OF_LPS @ axes * (between_columns, between_rows, step_mm)
        affine[:3, 3] = _RAS_OF_LPS @ first.position_mm
        self.frame = CanonicalFrame((first.shape[1], first.shape[0], len(files)), affine)
        if self.frame.slice_axis != 2:
            raise GeometryError(
                f"{self._where}: expected axial slices. Received slices that are stacked along "
                f"{normal.round(3).tolist()} (left, back, up); give the axial series."
            )
        self.shape = self.frame.shape
        self.affine = self.frame.affine
        self.origin = None
        self.descending = self.frame.descending

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield each slice, (Y, X) int16 HU."""
        for path in self.files:
            hu = _read_hu(path, f"Case {self.case_id!r}, file {path}")
            yield self.frame.from_file(hu.T[..., None])[0]


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise ImportError(
            f"Reading DICOM needs the package pydicom, which cannot be imported here ({error}). "
            'Install it: pip install "tfkd[dicom]"'
        ) from error
    return pydicom


def _read_headers(folder: Path, where: str) -> list[_File]:
    pydicom = _pydicom()
    files, others = [], []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        except pydicom.errors.InvalidDicomError:
            continue
        except (OSError, EOFError, ValueError) as error:
            raise GeometryError(
                f"{where}: {path.name} is damaged or cut short ({error}). Fetch it again."
            ) from error
        if header.get("Modality") == "CT":
            files.append(_of_header(header, path, where))
        else:
            others.append(str(header.get("Modality")))
    if not files:
        found = f"DICOM files of {sorted(set(others))}" if others else "no DICOM file"
        raise GeometryError(f"{where}: expected the DICOM files of a CT series. Received {found}.")
    return files


def _of_header(header: Any, path: Path, where: str) -> _File:
    missing = [tag for tag in _TAGS if tag not in header and tag not in _MAY_BE_ABSENT]
    if missing or int(header.get("NumberOfFrames") or 1) != 1:
        what = f"a file without {missing}" if missing else "several slices in a file"
        raise GeometryError(
            f"{where}: expected one axial slice a file, with its place. Received {what}: "
            f"{path.name}. Leave out what is no slice of the series, such as a localizer, or "
            "convert an enhanced CT to NIfTI."
        )
    return _File(
        path=path,
        series=str(header.SeriesInstanceUID),
        shape=(int(header.Rows), int(header.Columns)),
        pixel_mm=np.array(header.PixelSpacing, np.float64),
        rows_and_columns=np.array(header.ImageOrientationPatient, np.float64).reshape(2, 3),
        position_mm=np.array(header.ImagePositionPatient, np.float64),
        thickness_mm=float(header.get("SliceThickness") or 0),
    )


def _check_alike(files: list[_File], where: str) -> None:
    series = sorted({file.series for file in files})
    if len(series) > 1:
        counts = {uid: sum(file.series == uid for file in files) for uid in series}
        raise GeometryError(
            f"{where}: expected one CT series. Received {len(series)}, with so many files: "
            f"{counts}. Put each series into a folder of its own."
        )
    first = files[0]
    for file in files:
        turned = np.abs(file.rows_and_columns - first.rows_and_columns).max()
        scaled = np.abs(file.pixel_mm / first.pixel_mm - 1).max()
        if file.shape != first.shape or not max(turned, scaled) < _DIRECTION_TOLERANCE:
            raise GeometryError(
                f"{where}: expected slices of one size, direction and pixel size. Received "
                f"{_described(first)}, but {_described(file)}."
            )


def _described(file: _File) -> str:
    directions = file.rows_and_columns.ravel().tolist()
    return f"{file.path.name}: {file.shape}, {directions}, {file.pixel_mm.tolist()} mm"


def _checked_step_mm(files: list[_File], normal: np.ndarray, where: str) -> float:
    """Return the distance of neighbouring slices, which are sorted."""
    if len(files) == 1:
        if not files[0].thickness_mm > 0:
            raise GeometryError(
                f"{where}: expected a slice thickness in the only slice, {files[0].path.name}."
            )
        return files[0].thickness_mm
    positions = np.array([file.position_mm for file in files])
    along = positions @ normal
    gaps = np.diff(along)
    for gap, before, after in zip(gaps, files, files[1:], strict=False):
        if gap < _DUPLICATE_MM:
            raise GeometryError(
                f"{where}: expected one file a slice. Received two at one position: "
                f"{before.path.name} and {after.path.name}. Remove one of them."
            )
    usual = float(np.median(gaps))
    for gap, before, after in zip(gaps, files, files[1:], strict=False):
        if abs(gap - usual) > _GAP_TOLERANCE * usual:
            raise GeometryError(
                f"{where}: expected a slice every {usual:.3f} mm. Received {gap:.3f} mm between "
                f"{before.path.name} and {after.path.name}: slices are missing, or their distance "
                "changes. Fetch the whole series, or resample it."
            )
    straight = positions[0] + np.outer(along - along[0], normal)
    shifts = np.linalg.norm(positions - straight, axis=1)
    shifted = np.flatnonzero(shifts > _SHIFT_TOLERANCE_PIXELS * files[0].pixel_mm.min())
    if len(shifted):
        file = files[shifted[0]]
        raise GeometryError(
            f"{where}: expected slices straight above each other. Received {file.path.name}, "
            f"{shifts[shifted[0]]:.2f} mm beside {files[0].path.name}, as with a tilted gantry. "
            "Resample the series to an upright grid first."
        )
    return float(gaps.mean())


def _read_hu(path: Path, where: str) -> np.ndarray:
    """Return (rows, columns) int16 HU."""
    pydicom = _pydicom()
    try:
        dataset = pydicom.dcmread(path)
        stored = dataset.pixel_array
    except Exception as error:  # every codec raises its own kinds
        raise GeometryError(
            f"{where}: the pixels cannot be read ({error}). The file is damaged, or compressed in "
            "a way for which pydicom needs another package."
        ) from error
    if stored.ndim != 2 or "RescaleSlope" not in dataset or "RescaleIntercept" not in dataset:
        raise GeometryError(
            f"{where}: expected grey values with a rescale slope and intercept. Received shape "
            f"{stored.shape}, slope {dataset.get('RescaleSlope')} and intercept "
            f"{dataset.get('RescaleIntercept')}."
        )
    slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    return to_hu(stored.astype(np.float64) * slope + intercept, where)
