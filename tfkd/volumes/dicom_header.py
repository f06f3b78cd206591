"""What the header of a DICOM slice says, checked tag by tag."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import GeometryError

__all__ = ["SLICE_TAGS", "SliceHeader", "as_text", "slice_header"]

SLICE_TAGS = (
    *("SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    *("InstanceNumber", "ImagesInAcquisition", "AcquisitionNumber", "NumberOfFrames"),
    *("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"),
    *("SliceThickness", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    "PixelPaddingValue",
)

_UNIT_TOLERANCE = 0.01
_MOST_RESCALE = 1e5  # far beyond any HU
# No tissue, and no metal in a CT of 12 bits, is as bright.
_HIGHEST_HU = 3071


@dataclass(frozen=True, eq=False)
class SliceHeader:
    """What is needed of a slice before its pixels.

    Attributes:
        path: Its file.
        series: Its SeriesInstanceUID, "" where the file has none.
        series_name: Number and description of the series, for messages.
        shape: (rows, columns).
        pixel_mm: Between rows, between columns.
        rows_and_columns: (2, 3) directions in which columns and rows are counted, LPS.
        position_mm: Centre of the first pixel, LPS.
        thickness_mm: 0 where it is not stated.
        slope: HU of a stored number 1, without the intercept.
        intercept: HU of a stored number 0.
        rescale_type: What the numbers are, "HU" or "" for most.
        padding: Stored number of pixels outside of the picture, None where it is none or as dark
            as air.
        number: InstanceNumber, or None.
        acquisition: AcquisitionNumber, or None.
        images_in_acquisition: How many there should be, or None.
    """

    path: Path
    series: str
    series_name: str
    shape: tuple[int, int]
    pixel_mm: np.ndarray
    rows_and_columns: np.ndarray
    position_mm: np.ndarray
    thickness_mm: float
    slope: float
    intercept: float
    rescale_type: str
    padding: int | None
    number: int | None
    acquisition: int | None
    images_in_acquisition: int | None


def slice_header(dataset: Any, path: Path, where: str) -> SliceHeader:
    """Return what a slice's header says.

    Args:
        dataset: Of pydicom, with at least `SLICE_TAGS`.
        path: Its file.
        where: Words for error messages: case and folder.

    Raises:
        GeometryError: A tag is absent, empty, no number or no sane one; the message names case,
            file and tag.
    """
    read = _Reader(dataset, path, where)
    if read.integer("NumberOfFrames", 1) != 1:
        raise read.error(
            "NumberOfFrames",
            "one slice a file",
            f"several slices in a file, {read.received('NumberOfFrames')}",
            "Convert an enhanced CT to NIfTI",
        )
    rows, columns = read.count("Rows"), read.count("Columns")
    _check_bits(read)
    slope, intercept = read.number("RescaleSlope"), read.number("RescaleIntercept")
    if not 0 < slope < _MOST_RESCALE:
        raise read.error("RescaleSlope", "a number above 0, 1 for most CT")
    if abs(intercept) > _MOST_RESCALE:
        raise read.error("RescaleIntercept", "a number of HU, -1024 for most CT")
    return SliceHeader(
        path=path,
        series=as_text(dataset, "SeriesInstanceUID"),
        series_name=" ".join(
            filter(None, (as_text(dataset, "SeriesNumber"), as_text(dataset, "SeriesDescription")))
        ),
        shape=(rows, columns),
        pixel_mm=read.spacing(),
        rows_and_columns=read.directions(),
        position_mm=read.numbers("ImagePositionPatient", 3),
        thickness_mm=read.thickness(),
        slope=slope,
        intercept=intercept,
        rescale_type=as_text(dataset, "RescaleType"),
        padding=_bright_padding(read.optional("PixelPaddingValue"), slope, intercept),
        number=read.optional("InstanceNumber"),
        acquisition=read.optional("AcquisitionNumber"),
        images_in_acquisition=read.optional("ImagesInAcquisition"),
    )


def as_text(dataset: Any, tag: str) -> str:
    """Return a tag's value as text, "" where it is absent, empty or unreadable."""
    try:
        value = dataset.get(tag)
    except Exception:  # pydicom converts values when asked for, and raises many kinds
        return ""
    return "" if value is None else str(value).strip().strip("\0")


def _check_bits(read: "_Reader") -> None:
    if read.integer("SamplesPerPixel", 1) != 1:
        raise read.error("SamplesPerPixel", "1, grey values")
    allocated = read.count("BitsAllocated")
    if allocated not in (8, 16, 32):
        raise read.error("BitsAllocated", "8, 16 or 32")
    stored = read.integer("BitsStored", allocated)
    if not 1 <= stored <= allocated:
        raise read.error("BitsStored", f"1 to BitsAllocated, {allocated}")
    if read.integer("HighBit", stored - 1) != stored - 1:
        raise read.error("HighBit", f"BitsStored - 1, {stored - 1}")
    if read.count("PixelRepresentation", lowest=0) > 1:
        raise read.error("PixelRepresentation", "0 or 1")


def _bright_padding(stored: int | None, slope: float, intercept: float) -> int | None:
    if stored is None or stored * slope + intercept <= _HIGHEST_HU:
        return None
    return stored


class _Reader:
    """Values of one dataset, or errors that name case, file and tag."""

    def __init__(self, dataset: Any, path: Path, where: str) -> None:
        self._dataset = dataset
        self._path = path
        self._where = where

    def numbers(self, tag: str, count: int) -> np.ndarray:
        """Return so many finite numbers."""
        try:
            value = self._dataset.get(tag)
            several = not isinstance(value, (str, bytes, int, float)) and value is not None
            numbers = np.array(list(value) if several else [value], np.float64)
        except Exception as error:  # pydicom converts values when asked for, with many kinds
            raise self.error(tag, _words(count)) from error
        if numbers.shape != (count,) or not np.isfinite(numbers).all():
            raise self.error(tag, _words(count))
        return numbers

    def number(self, tag: str) -> float:
        return float(self.numbers(tag, 1)[0])

    def spacing(self) -> np.ndarray:
        spacing = self.numbers("PixelSpacing", 2)
        if not (spacing > 0).all():
            raise self.error("PixelSpacing", "two numbers above 0, in mm")
        return spacing

    def directions(self) -> np.ndarray:
        directions = self.numbers("ImageOrientationPatient", 6).reshape(2, 3)
        away = np.abs(directions @ directions.T - np.eye(2)).max()
        if not away < _UNIT_TOLERANCE:
            raise self.error(
                "ImageOrientationPatient", "two directions of length 1 at a right angle"
            )
        return directions

    def thickness(self) -> float:
        """Return the thickness, which only a single slice is asked for; 0 if it is none."""
        try:
            thickness = float(self._dataset.get("SliceThickness") or 0)
        except Exception:  # pydicom converts values when asked for, with many kinds
            return 0.0
        return thickness if np.isfinite(thickness) else 0.0

    def integer(self, tag: str, default: int) -> int:
        """Return a whole number; the default where the tag is absent or empty."""
        try:
            value = self._dataset.get(tag)
            return default if value is None or value == "" else int(value)
        except Exception as error:  # pydicom converts values when asked for, with many kinds
            raise self.error(tag, "a whole number") from error

    def count(self, tag: str, lowest: int = 1) -> int:
        value = self.integer(tag, lowest - 1)
        if value < lowest:
            raise self.error(tag, f"a whole number of {lowest} or more")
        return value

    def optional(self, tag: str) -> int | None:
        """Return a whole number that nothing depends on; None where it is not one."""
        try:
            return int(self._dataset.get(tag))
        except Exception:  # absent, empty or nonsense
            return None

    def received(self, tag: str) -> str:
        """Words for what the file has."""
        if tag not in self._dataset:
            return "none"
        try:
            value = self._dataset.get_item(tag).value
        except Exception:  # pydicom converts values when asked for, with many kinds
            return "something unreadable"
        text = value.decode("latin-1").strip() if isinstance(value, bytes) else value
        return "an empty one" if text is None or text == "" else repr(text)

    def error(
        self,
        tag: str,
        expected: str,
        received: str = "",
        advice: str = "Correct the tag or fetch the file again",
    ) -> GeometryError:
        return GeometryError(
            f"{self._where}: {self._path.name}, tag {tag}: expected {expected}. Received "
            f"{received or self.received(tag)}. {advice}, or remove the file if it is not a slice "
            "of the series."
        )


def _words(count: int) -> str:
    return "a number" if count == 1 else f"{count} numbers"
