"""NIfTI files in and out, by way of the canonical frame."""

import os
from typing import Literal

from tfkd.volumes.volume import Volume

__all__ = ["check_same_geometry", "read_volume", "write_volume"]


def read_volume(
    path: str | os.PathLike[str],
    *,
    kind: Literal["ct", "mask"] = "ct",
    case_id: str | None = None,
    identity_affine: str | None = None,
) -> Volume:
    """Read a NIfTI file into the canonical frame."""
    raise NotImplementedError


def write_volume(volume: Volume, path: str | os.PathLike[str]) -> None:
    """Write a volume in the geometry of the file it came from."""
    raise NotImplementedError


def check_same_geometry(
    image: Volume,
    mask: Volume,
    image_path: str | os.PathLike[str],
    mask_path: str | os.PathLike[str],
) -> None:
    """Raise if an image and a mask do not lie on the same voxels."""
    raise NotImplementedError
