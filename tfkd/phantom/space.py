"""The patient's coordinates, in millimetres, on the scanner's voxel grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.phantom.noise import NoiseBank, spline_field

__all__ = ["Box", "Point", "Space"]

WARP_SCALE_MM = 60.0

Box = tuple[slice, slice, slice]
Point = Sequence[float] | np.ndarray  # (x, y, z) in mm


@dataclass(frozen=True, eq=False)
class Space:
    """Position of every voxel in a patient whose anatomy is smoothly deformed.

    The axes are the patient's: x to the left, y to the back, z to the head, with the zero at
    the middle of the trunk, on the level of the liver's hilum. Shapes are drawn in these
    coordinates, so that one smooth warp deforms all organs together and none overlap by it.

    Attributes:
        x: Warped left coordinate in mm, ``(Z, Y, X)`` float32.
        y: Warped posterior coordinate in mm, same shape.
        z: Warped superior coordinate in mm, same shape.
        axes_mm: Unwarped coordinates of the slices, rows and columns.
        warp_mm: No voxel is warped by more than this along an axis.
        bank: Where random fields come from.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    axes_mm: tuple[np.ndarray, np.ndarray, np.ndarray]
    warp_mm: float
    bank: NoiseBank

    @classmethod
    def create(
        cls,
        shape_zyx: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
        centre_z_mm: float,
        warp_mm: float,
        rng: np.random.Generator,
    ) -> Space:
        """Lay the grid over the patient and draw the warp.

        Args:
            shape_zyx: Slices, rows, columns.
            spacing_mm: Distance of their centres in mm, in the same order.
            centre_z_mm: Level of the middle of the stack.
            warp_mm: Largest displacement along each axis.
            rng: Source of the warp.

        Returns:
            The space.
        """
        axes = tuple(
            ((np.arange(n) - (n - 1) / 2) * step).astype(np.float32)
            for n, step in zip(shape_zyx, spacing_mm, strict=True)
        )
        z, y, x = axes[0] + np.float32(centre_z_mm), axes[1], axes[2]
        grids = np.meshgrid(z, y, x, indexing="ij", copy=True)
        for grid in grids:
            grid += spline_field((z, y, x), WARP_SCALE_MM, rng, bound=warp_mm)
        bank = NoiseBank(shape_zyx, spacing_mm, rng)
        return cls(grids[2], grids[1], grids[0], (z, y, x), warp_mm, bank)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return self.x.shape  # type: ignore[return-value]

    @property
    def pixel_mm(self) -> float:
        """In-plane distance of voxel centres."""
        return float(self.axes_mm[2][1] - self.axes_mm[2][0])

    @property
    def slice_mm(self) -> float:
        """Distance of slice centres."""
        return float(self.axes_mm[0][1] - self.axes_mm[0][0])

    def noise(self, scale_mm: float) -> np.ndarray:
        """Smooth random field of mean 0 and standard deviation 1, another one at each call.

        Args:
            scale_mm: Distance of the control points; bumps are about twice as wide.

        Returns:
            ``(Z, Y, X)`` float32, read-only.
        """
        return self.bank.crop(self.x.shape, scale_mm)

    def box(self, low_mm: Point, high_mm: Point, margin_mm: float = 3.0) -> Box:
        """Voxels that hold every point between two corners, whatever the warp.

        Args:
            low_mm: Corner ``(x, y, z)``.
            high_mm: Opposite corner.
            margin_mm: Room added on each side.

        Returns:
            Slices of z, y and x; empty ones when the corners lie outside of the grid.
        """
        margin = margin_mm + self.warp_mm
        slices = []
        for axis, low, high in zip(self.axes_mm, low_mm[::-1], high_mm[::-1], strict=True):
            start = np.searchsorted(axis, low - margin)
            stop = np.searchsorted(axis, high + margin)
            slices.append(slice(int(start), int(max(start, stop))))
        return slices[0], slices[1], slices[2]

    def crop(self, box: Box) -> Space:
        """The part of the space in a box, as views.

        Args:
            box: Slices of z, y and x.

        Returns:
            The smaller space.
        """
        axes = tuple(axis[part] for axis, part in zip(self.axes_mm, box, strict=True))
        return Space(self.x[box], self.y[box], self.z[box], axes, self.warp_mm, self.bank)  # type: ignore[arg-type]
