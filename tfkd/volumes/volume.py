"""A CT or label volume in the one frame that everything in `tfkd` uses."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import nibabel as nib
import numpy as np

from tfkd.errors import GeometryError
from tfkd.volumes.grid import Grid

__all__ = ["IGNORE_LABEL", "FileGeometry", "Volume", "canonical_affine"]

# A pixel of a mask with this value belongs to no class: nobody has said what it shows.
IGNORE_LABEL = 255

# Unit steps of the canonical axes in RAS+ millimetres: x grows to the patient's Left,
# y to Posterior, z to Superior.
_LPS_SIGNS = np.array([-1.0, -1.0, 1.0])


@dataclasses.dataclass(frozen=True, eq=False)
class FileGeometry:
    """How a NIfTI file lays out its voxels: enough to write a mask in exactly the same way.

    Attributes:
        shape: Size of the array on disk, trailing axes of length 1 included.
        affine: (4, 4) voxel index on disk -> RAS+ mm, as it was understood when reading.
        orientation: Where the three axes on disk grow to, such as `"RAS"`.
        header: The header's geometry fields, untouched (qform, sform, their codes, units, pixdim).
        nifti_version: 1 or 2.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    orientation: str
    header: Mapping[str, Any]
    nifti_version: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Volume(Grid):
    """Voxels of one case in the canonical frame.

    The axes are (z, y, x), called LPS+: x grows to the patient's Left, y to Posterior, z to
    Superior. `imshow(volume.array[k])` is therefore the radiological view: the patient's right at
    the image's left, the front of the body on top.

    Attributes:
        array: (Z, Y, X) int16 Hounsfield units, or uint8 labels.
        affine: (4, 4) float64; maps the voxel index (x, y, z, 1) to RAS+ millimetres, as nibabel
            has it.
        case_id: Name of the case, for messages and tables.
        origin: Layout of the file it was read from, or None for a volume made in memory.

    Raises:
        GeometryError: The array is not 3-D, is empty or of another dtype, or the affine is not
            that of an LPS+ volume.
    """

    array: np.ndarray
    affine: np.ndarray
    case_id: str
    origin: FileGeometry | None = None

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or self.array.size == 0:
            raise GeometryError(
                f"Case {self.case_id!r}: expected a non-empty array of axes (z, y, x). "
                f"Received shape {self.array.shape}."
            )
        if self.array.dtype not in (np.int16, np.uint8):
            raise GeometryError(
                f"Case {self.case_id!r}: expected int16 (HU) or uint8 (labels). "
                f"Received {self.array.dtype}; cast it with `array.astype(...)`."
            )
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError(
                f"Case {self.case_id!r}: expected a finite 4 x 4 affine. Received {affine}."
            )
        if nib.aff2axcodes(affine) != ("L", "P", "S"):
            raise GeometryError(
                f"Case {self.case_id!r}: the affine is not that of an LPS+ volume; make one with "
                f"`canonical_affine(spacing_mm)`. Received {affine.tolist()}."
            )
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along (z, y, x)."""
        z, y, x = self.array.shape
        return z, y, x

    @property
    def orientation(self) -> str:
        """Where x, y and z grow to: always `"LPS"`."""
        return "LPS"

    def with_array(self, array: np.ndarray) -> "Volume":
        """Return `array` as a volume of this one's case and geometry, such as the mask of a CT.

        Args:
            array: (Z, Y, X) of this volume's shape; int16 or uint8.

        Raises:
            GeometryError: The shape or dtype is wrong.
        """
        if array.shape != self.shape:
            raise GeometryError(
                f"Case {self.case_id!r}: expected an array of shape {self.shape}. "
                f"Received {array.shape}."
            )
        return dataclasses.replace(self, array=array)


def canonical_affine(
    spacing_mm: tuple[float, float, float],
    first_voxel_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """Return the affine of an axis-aligned LPS+ volume.

    Args:
        spacing_mm: Voxel spacing along (z, y, x).
        first_voxel_mm: RAS+ position (x, y, z) of the centre of voxel [0, 0, 0].

    Returns:
        (4, 4) float64, for `Volume.affine`.
    """
    affine = np.eye(4)
    affine[:3, :3] = np.diag(_LPS_SIGNS * spacing_mm[::-1])
    affine[:3, 3] = first_voxel_mm
    return affine
