"""What an affine says of the size of voxels."""

import numpy as np

__all__ = ["Grid"]


class Grid:
    """Something with an affine: the sizes of its voxels.

    Attributes:
        affine: (4, 4) canonical index (x, y, z, 1) -> RAS+ mm.
    """

    affine: np.ndarray

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along (z, y, x), in millimetres."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0
