"""Smooth random fields, made once for each scale and used many times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["NoiseBank", "spline_field"]

# Standard deviation of a cubic B-spline field in 3-D with unit normal coefficients.
_SPLINE_SD = 0.4794**1.5
_STEP = 1.6
_MARGIN_ZYX = (0.1, 0.2, 0.2)


class NoiseBank:
    """Crops of a few large smooth fields, at random places and mirrored at random.

    A patient needs about eighty fields; interpolating each anew would take most of the time.
    """

    def __init__(
        self,
        shape_zyx: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
        rng: np.random.Generator,
    ) -> None:
        """Prepare an empty bank.

        Args:
            shape_zyx: The largest crop.
            spacing_mm: Distance of the voxels along z, y, x.
            rng: Source of the fields and of the places of the crops.
        """
        self._axes_mm = [
            np.arange(int(n * (1 + more)) + 1, dtype=np.float32) * np.float32(step)
            for n, step, more in zip(shape_zyx, spacing_mm, _MARGIN_ZYX, strict=True)
        ]
        self._rng = rng
        self._fields: dict[int, np.ndarray] = {}

    def crop(self, shape_zyx: tuple[int, ...], scale_mm: float) -> np.ndarray:
        """Smooth field of mean 0 and standard deviation 1.

        Args:
            shape_zyx: Wanted shape.
            scale_mm: Distance of the control points, rounded to a power of 1.6; bumps are about
                twice as wide.

        Returns:
            float32 view of the wanted shape; not to be written to.
        """
        step = round(np.log(scale_mm) / np.log(_STEP))
        if step not in self._fields:
            field = spline_field(self._axes_mm, _STEP**step, self._rng)
            field.flags.writeable = False
            self._fields[step] = field
        field = self._fields[step]
        parts = []
        for have, want in zip(field.shape, shape_zyx, strict=True):
            start = int(self._rng.integers(have - want + 1))
            parts.append(slice(start, start + want))
        flips = [slice(None, None, int(sign)) for sign in self._rng.choice((-1, 1), 3)]
        return field[tuple(parts)][tuple(flips)]


def spline_field(
    axes_mm: Sequence[np.ndarray],
    scale_mm: float,
    rng: np.random.Generator,
    bound: float | None = None,
) -> np.ndarray:
    """Uniform cubic B-spline with random coefficients.

    Args:
        axes_mm: Increasing coordinates along z, y, x.
        scale_mm: Distance of the control points.
        rng: Source of the coefficients.
        bound: Draw the coefficients uniformly in ±bound, which then bounds the field too; by
            default they are normal and the field has a standard deviation of 1.

    Returns:
        float32 field on the grid of the axes.
    """
    shape = tuple(int((axis[-1] - axis[0]) / scale_mm) + 4 for axis in axes_mm)
    if bound is None:
        field = (rng.standard_normal(shape) / _SPLINE_SD).astype(np.float32)
    else:
        field = rng.uniform(-bound, bound, shape).astype(np.float32)
    for along in (2, 1, 0):
        field = _interpolate(field, axes_mm[along], scale_mm, along)
    return field


def _interpolate(field: np.ndarray, axis_mm: np.ndarray, scale_mm: float, along: int) -> np.ndarray:
    """Evaluate the spline along one axis: four taps for each point.

    Taps instead of a matrix product, whose threads fight for the cores when several
    processes run.
    """
    position = (axis_mm - axis_mm[0]) / np.float32(scale_mm)
    first = position.astype(int)
    t = position - first
    taps = (
        (1 - t) ** 3 / 6,
        (4 - 6 * t**2 + 3 * t**3) / 6,
        (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6,
        t**3 / 6,
    )
    if along == 0:
        return _mix_planes(field, first, taps)
    shape = [1, 1, 1]
    shape[along] = -1
    result = np.take(field, first, axis=along)
    result *= taps[0].reshape(shape)
    for offset in (1, 2, 3):
        part = np.take(field, first + offset, axis=along)
        part *= taps[offset].reshape(shape)
        result += part
    return result


def _mix_planes(field: np.ndarray, first: np.ndarray, taps: tuple[np.ndarray, ...]) -> np.ndarray:
    # Slice by slice, so that the work stays in the processor's cache.
    result = np.empty((first.size, *field.shape[1:]), np.float32)
    part = np.empty(field.shape[1:], np.float32)
    for index, start in enumerate(first):
        plane = result[index]
        np.multiply(field[start], taps[0][index], out=plane)
        for offset in (1, 2, 3):
            plane += np.multiply(field[start + offset], taps[offset][index], out=part)
    return result
