"""Numbers of a file as Hounsfield units."""

import numpy as np
from nibabel.volumeutils import apply_read_scaling

from tfkd.errors import GeometryError

__all__ = ["scaled", "to_hu"]


def to_hu(voxels: np.ndarray, where: str) -> np.ndarray:
    """Return numbers as int16 HU; fractions are rounded.

    Args:
        voxels: Any shape, not empty.
        where: Words for the error message: case and file.

    Raises:
        GeometryError: A number is not finite, or does not fit int16.
    """
    low, high = voxels.min(), voxels.max()  # NaN if any is NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = np.count_nonzero(~np.isfinite(voxels))
        raise GeometryError(f"{where}: expected finite HU. Received {bad} voxels of NaN or Inf.")
    limits = np.iinfo(np.int16)
    if low < limits.min or high > limits.max:
        raise GeometryError(f"{where}: expected HU that fit int16. Received {low} to {high}.")
    if voxels.dtype.kind == "f":
        voxels = np.rint(voxels)
    return voxels.astype(np.int16, copy=False)


def scaled(stored: np.ndarray, slope: float, inter: float) -> np.ndarray:
    """Return stored numbers times a slope, plus an intercept; float32 unless that changes nothing.

    Args:
        stored: Any shape.
        slope: 1 for none.
        inter: 0 for none.
    """
    if slope == 1 and inter == 0:
        return stored
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is told as infinite
        return np.asarray(apply_read_scaling(stored, slope, inter).astype(np.float32))
