"""A CT as a folder of DICOM files."""

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.ct_slices import CTSlices
from tfkd.volumes.dicom_file import read_dicom
from tfkd.volumes.dicom_header import SliceHeader
from tfkd.volumes.dicom_series import read_series
from tfkd.volumes.frame import CanonicalFrame
from tfkd.volumes.hu import to_hu
from tfkd.volumes.names import name_of
from tfkd.volumes.preprocess import AIR_HU

__all__ = ["DicomSlices"]

# Positions are written with few digits, and scanners place slices to some hundredths of a mm. A
# tenth of the distance is far above that, and far below a slice that is missing.
_GAP_TOLERANCE = 0.1
_DUPLICATE_MM = 1e-3
_DIRECTION_TOLERANCE = 1e-3
# Slices that lie by more than half a pixel beside each other would need resampling.
_SHIFT_TOLERANCE_PIXELS = 0.5

# What RescaleType says of HU: "US" is unspecified.
_HU_TYPES = ("", "HU", "US")
_RAS_OF_LPS = np.diag([-1.0, -1.0, 1.0])


class DicomSlices(CTSlices):
    """The axial slices of one CT series, one file a slice, sorted by their positions.

    HU are the stored numbers with the file's rescale slope and intercept, rounded; padding that
    would be brighter than any tissue becomes air. Files that are no DICOM, or not of a CT, are
    passed over with a `UserWarning`, but for those that are named like the slices. Another says
    where the numbering tells of slices that are missing at an end. Only one slice at a time lies in
    memory.

    Args:
        folder: Folder of the files; its subfolders are not looked into.
        case_id: Name of the case; by default the folder's name.

    Raises:
        GeometryError: The folder holds no CT or several series, a file is damaged or has a tag that
            is absent, empty or nonsense, slices differ in size, direction or pixel size, lie upon
            each other, are missing, or are shifted against each other, as by a tilted gantry, or
            are not axial. The message names the file.
        ImportError: pydicom is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], *, case_id: str | None = None) -> None:
        folder = Path(folder)
        self.case_id = name_of(folder) if case_id is None else case_id
        self._where = f"Case {self.case_id!r}, folder {folder}"
        files = read_series(folder, self._where)
        _check_alike(files, self._where)
        normal = np.cross(*files[0].rows_and_columns)
        files.sort(key=lambda file: float(file.position_mm @ normal))
        step_mm = _checked_step_mm(files, normal, self._where)
        _warn_of_ends(files, self._where)
        _warn_of_values(files, self._where)
        self._headers = files
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
        for file in self._headers:
            hu = _read_hu(file, f"Case {self.case_id!r}, file {file.path}")
            yield self.frame.from_file(hu.T[..., None])[0]


def _check_alike(files: list[SliceHeader], where: str) -> None:
    series = sorted({file.series for file in files})
    if len(series) > 1:
        names = {file.series: file.series_name for file in files}
        counts = Counter(file.series for file in files)
        listed = (
            f"{names[uid]!r} with UID {uid!r} (number of files: {counts[uid]})" for uid in series
        )
        raise GeometryError(
            f"{where}: expected one CT series. Received {len(series)}: {'; '.join(listed)}. Put "
            "each series into a folder of its own."
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


def _described(file: SliceHeader) -> str:
    directions = file.rows_and_columns.ravel().tolist()
    return f"{file.path.name}: {file.shape}, {directions}, {file.pixel_mm.tolist()} mm"


def _checked_step_mm(files: list[SliceHeader], normal: np.ndarray, where: str) -> float:
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


def _warn_of_ends(files: list[SliceHeader], where: str) -> None:
    """Say so where the numbering tells that slices are missing at an end of the series."""
    numbers = [file.number for file in files if file.number is not None]
    if len(numbers) < len(files) or len({file.acquisition for file in files}) > 1:
        return
    stated = max((file.images_in_acquisition or 0 for file in files), default=0)
    if stated > len(files):
        said = f"its ImagesInAcquisition is {stated}"
    elif min(numbers) > 1 and max(numbers) - min(numbers) + 1 == len(set(numbers)) == len(files):
        said = f"its InstanceNumber runs from {min(numbers)} to {max(numbers)}, not from 1"
    else:
        return
    warnings.warn(
        f"{where}: the series has {len(files)} slices, but {said}. Slices may be missing at one "
        "end; some scanners go on counting from one series to the next.",
        UserWarning,
        stacklevel=3,
    )


def _warn_of_values(files: list[SliceHeader], where: str) -> None:
    for file in files:
        if file.rescale_type.upper() not in _HU_TYPES:
            warnings.warn(
                f"{where}: expected HU. Received numbers of the RescaleType "
                f"{file.rescale_type!r} in {file.path.name}; they are read as HU.",
                UserWarning,
                stacklevel=3,
            )
            break
    scales = Counter((file.slope, file.intercept) for file in files)
    if len(scales) > 1:
        usual = scales.most_common(1)[0][0]
        odd = next(file for file in files if (file.slope, file.intercept) != usual)
        warnings.warn(
            f"{where}: expected one RescaleSlope and RescaleIntercept for all slices, as CT has. "
            f"Received {usual} in {scales[usual]} of {len(files)}, but "
            f"{(odd.slope, odd.intercept)} in {odd.path.name}; each slice is read with its own.",
            UserWarning,
            stacklevel=3,
        )
    padded = [file for file in files if file.padding is not None]
    if padded:
        warnings.warn(
            f"{where}: {len(padded)} slices have a PixelPaddingValue, {padded[0].padding}, that is "
            f"brighter than any tissue; such pixels are read as air, {AIR_HU} HU.",
            UserWarning,
            stacklevel=3,
        )


def _read_hu(file: SliceHeader, where: str) -> np.ndarray:
    """Return (rows, columns) int16 HU."""
    try:
        stored = read_dicom(file.path).pixel_array
    except Exception as error:  # every codec raises its own kinds
        raise GeometryError(
            f"{where}, tag PixelData: the pixels cannot be read ({error}). The file is damaged, or "
            "compressed in a way for which pydicom needs another package, such as pylibjpeg."
        ) from error
    if stored.shape != file.shape:
        raise GeometryError(
            f"{where}, tag PixelData: expected {file.shape} grey values. Received {stored.shape}. "
            "Fetch the file again."
        )
    hu = stored.astype(np.float64) * file.slope + file.intercept
    if file.padding is not None:
        hu[stored == file.padding] = AIR_HU
    return to_hu(hu, where)
