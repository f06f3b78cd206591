"""Numbers of a file as labels."""

import warnings

import numpy as np

from tfkd.errors import GeometryError

__all__ = ["to_labels"]

# Labels that went through a header's slope and intercept come back as 1.0000153.
_ROUNDING = 1e-3


def to_labels(voxels: np.ndarray, where: str) -> np.ndarray:
    """Return numbers as uint8 labels.

    Numbers that lie within 0.001 of a whole one are rounded to it, with a `UserWarning`.

    Args:
        voxels: Any shape, not empty.
        where: Words for messages: case and file.

    Raises:
        GeometryError: A number is not finite, is below 0 or above 255, or is a fraction.
    """
    low, high = voxels.min(), voxels.max()  # NaN if any is NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = np.count_nonzero(~np.isfinite(voxels))
        raise GeometryError(
            f"{where}: expected labels of 0 to 255. Received {bad} voxels of NaN or Inf; give them "
            "a label, or 255 for none."
        )
    if low < -_ROUNDING or high > 255 + _ROUNDING:
        advice = "number the labels from 0 (background) to 254"
        if low < 0:
            advice = "a voxel without a label is stored as 255, and background as 0"
        raise GeometryError(
            f"{where}: expected labels of 0 to 255. Received {low} to {high}; {advice}."
        )
    if voxels.dtype.kind != "f":
        return voxels.astype(np.uint8, copy=False)
    labels = np.rint(voxels).astype(np.uint8)
    is_off = voxels != labels
    if is_off.any():
        off = voxels[is_off]
        apart = np.abs(off - labels[is_off])
        if apart.max() > _ROUNDING:
            raise GeometryError(
                f"{where}: expected whole-numbered labels. Received for example "
                f"{off[apart.argmax()]}; a mask must be resampled with nearest neighbours, not "
                "linearly, and probabilities must be turned into labels first."
            )
        warnings.warn(
            f"{where}: {len(off)} of its labels are stored inexactly, such as {off[0]:.7g}, and "
            "were rounded to whole numbers.",
            UserWarning,
            stacklevel=3,
        )
    return labels
