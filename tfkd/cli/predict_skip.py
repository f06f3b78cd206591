"""Whether a mask that is there already can be that of a CT."""

import contextlib
import warnings
from pathlib import Path

import numpy as np

from tfkd.cli.config import ConfigError
from tfkd.errors import GeometryError
from tfkd.volumes import NiftiSlices, open_ct

__all__ = ["check_mask_is_of"]

_TOLERANCE_MM = 0.1


def check_mask_is_of(mask: Path, ct: Path, identity_affine: str | None) -> None:
    """Raise if a mask does not lie on the voxels of a CT: it was made of another one of that name.

    Only headers are read. What cannot be read is not blamed, and of a DICOM SEG nothing is known.

    Args:
        mask: The mask's file.
        ct: The CT that would have it.
        identity_affine: See `read_volume`.

    Raises:
        ConfigError: The mask has another shape or place.
    """
    if mask.suffix == ".dcm":
        return
    with warnings.catch_warnings(), contextlib.suppress(GeometryError, ImportError, OSError):
        warnings.simplefilter("ignore", UserWarning)  # said when the mask was made
        of_ct = open_ct(ct, identity_affine=identity_affine)
        of_mask = NiftiSlices(mask, identity_affine=identity_affine)
        apart = np.abs(of_ct.affine - of_mask.affine).max()
        if of_ct.shape != of_mask.shape or apart > _TOLERANCE_MM:
            raise ConfigError(
                f"{mask}: expected the mask of this CT, or none. Received one on other voxels, "
                f"{of_mask.shape} (z, y, x) and not {of_ct.shape}, or in another place, as of "
                "another CT of the same name. Choose another folder, or pass --overwrite."
            )
