"""Signed distances in mm (negative inside) and the canvas that they are painted on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.phantom.space import Box, Point, Space

__all__ = [
    "FAR_MM",
    "Canvas",
    "Tube",
    "carve",
    "chain",
    "cylinder",
    "ellipsoid",
    "meet",
    "tubes",
    "unite",
]

FAR_MM = np.float32(1e3)
REACH_MM = 30.0  # ellipsoids are evaluated this far outside, enough for every rounded seam


@dataclass(frozen=True)
class Tube:
    """A round cone from one point to another, in patient coordinates and mm."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float


def ellipsoid(
    space: Space,
    centre: Point,
    radii: Point,
    tilt: float = 0.0,
) -> np.ndarray:
    """Distance to an ellipsoid, exact to first order near its surface, large far away.

    Args:
        space: Where to evaluate.
        centre: ``(x, y, z)`` in mm.
        radii: Half axes along x, y, z in mm.
        tilt: Turn about z in radians, from x towards y.

    Returns:
        Distance in mm, the shape of the space.
    """
    # Python floats: NumPy's own would turn the arrays to float64.
    cx, cy, cz = (float(value) for value in centre)
    rx, ry, rz = (float(value) for value in radii)
    far = max(rx, ry, rz) if tilt else np.array((rx, ry, rz))
    box = space.box(np.array((cx, cy, cz)) - far, np.array((cx, cy, cz)) + far, REACH_MM)
    here = space.crop(box)
    x, y, z = here.x - cx, here.y - cy, here.z - cz
    if tilt:
        cos, sin = float(np.cos(tilt)), float(np.sin(tilt))
        x, y = cos * x + sin * y, cos * y - sin * x
    x, y, z = x * x / (rx * rx), y * y / (ry * ry), z * z / (rz * rz)
    scaled = np.sqrt(x + y + z)
    slope = np.sqrt(x / (rx * rx) + y / (ry * ry) + z / (rz * rz)) + np.float32(1e-9)
    result = np.full(space.shape, FAR_MM, np.float32)
    result[box] = scaled * (scaled - 1) / slope
    return result


def cylinder(x: np.ndarray, y: np.ndarray, rx: float, ry: float) -> np.ndarray:
    """Distance to an elliptic cylinder along z, too small away from its surface.

    Args:
        x: Coordinate from its axis.
        y: Coordinate from its axis.
        rx: Half axis along x in mm.
        ry: Half axis along y in mm.

    Returns:
        Distance in mm.
    """
    scaled = np.sqrt((x / rx) ** 2 + (y / ry) ** 2)
    return (scaled - 1) * np.float32(min(rx, ry))


def chain(points: Sequence[Point], first_radius: float, last_radius: float) -> list[Tube]:
    """Round cones along a path, whose radius changes evenly from point to point.

    Args:
        points: Two or more points.
        first_radius: Radius at the first in mm.
        last_radius: Radius at the last in mm.

    Returns:
        One cone for each step.
    """
    radii = np.linspace(first_radius, last_radius, len(points)).tolist()
    ends = list(zip(points, radii, strict=True))
    return [Tube(a, b, ra, rb) for (a, ra), (b, rb) in itertools.pairwise(ends)]


def tubes(space: Space, parts: Sequence[Tube], reach_mm: float = 4.0) -> np.ndarray:
    """Distance to a union of round cones, right within `reach_mm` and large elsewhere.

    Args:
        space: Where to evaluate.
        parts: The cones.
        reach_mm: How far outside of a cone its distance is needed.

    Returns:
        Distance in mm, the shape of the space.
    """
    result = np.full(space.shape, FAR_MM, np.float32)
    for part in parts:
        a, b = np.asarray(part.start, float), np.asarray(part.end, float)
        widest = max(part.start_radius, part.end_radius)
        box = space.box(np.minimum(a, b) - widest, np.maximum(a, b) + widest, reach_mm)
        here = space.crop(box)
        if here.x.size:
            np.minimum(result[box], _cone(here, a, b, part), out=result[box])
    return result


def _cone(space: Space, a: np.ndarray, b: np.ndarray, part: Tube) -> np.ndarray:
    step = (b - a).astype(np.float32)
    a = a.astype(np.float32)
    length2 = max(float(step @ step), 1e-6)
    x, y, z = space.x - a[0], space.y - a[1], space.z - a[2]
    along = np.clip((x * step[0] + y * step[1] + z * step[2]) / length2, 0, 1)
    x, y, z = x - along * step[0], y - along * step[1], z - along * step[2]
    radius = part.start_radius + along * (part.end_radius - part.start_radius)
    return (np.sqrt(x * x + y * y + z * z) - radius).astype(np.float32)


def unite(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    """Union whose seam is rounded over `blend_mm` (polynomial smooth minimum).

    Args:
        a: Distance to the one shape.
        b: Distance to the other.
        blend_mm: Width of the seam.

    Returns:
        Distance to the union.
    """
    return np.minimum(a, b) - _seam(a, b, blend_mm)


def _seam(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    # In place: these passes over the volume are most of the work of shaping the liver.
    overlap = np.subtract(a, b)
    np.abs(overlap, out=overlap)
    np.subtract(blend_mm, overlap, out=overlap)
    np.maximum(overlap, 0, out=overlap)
    np.square(overlap, out=overlap)
    return np.multiply(overlap, 1 / (4 * blend_mm), out=overlap)


def meet(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    """Intersection whose edge is rounded over `blend_mm`.

    Args:
        a: Distance to the one shape.
        b: Distance to the other.
        blend_mm: Width of the edge.

    Returns:
        Distance to what lies in both.
    """
    return np.maximum(a, b) + _seam(a, b, blend_mm)


def carve(shape: np.ndarray, other: np.ndarray, gap_mm: float, blend_mm: float = 4.0) -> np.ndarray:
    """What is left of a shape beside another one.

    Args:
        shape: Distance to the shape that gives way.
        other: Distance to the shape that it gives way to.
        gap_mm: Distance that stays between the two.
        blend_mm: Width over which the edge is rounded.

    Returns:
        Distance to the remainder.
    """
    return meet(shape, gap_mm - other, blend_mm)


class Canvas:
    """HU values that shapes are painted on, with partial volume at their borders."""

    def __init__(self, space: Space, hu: float) -> None:
        """Start with one value everywhere.

        Args:
            space: The voxel grid.
            hu: The value.
        """
        self.hu = np.full(space.shape, hu, np.float32)
        self._edge_mm = space.pixel_mm

    def paint(
        self,
        distance: np.ndarray,
        hu: float | np.ndarray,
        *,
        box: Box | np.ndarray | None = None,
        edge_mm: float | None = None,
        opacity: float = 1.0,
    ) -> None:
        """Mix a tissue in.

        Args:
            distance: Signed distance to its shape in mm.
            hu: Its value, or one per voxel.
            box: Where `distance` lies in the volume, as a box or a boolean mask; all of it by
                default.
            edge_mm: Width of the border; one pixel by default.
            opacity: Share of the tissue deep inside.
        """
        width = max(edge_mm or 0.0, self._edge_mm)
        region = self.hu if box is None else self.hu[box]
        near = distance < width / 2
        share = np.minimum(0.5 - distance[near] / np.float32(width), 1) * np.float32(opacity)
        under = region[near]
        over = hu[near] if isinstance(hu, np.ndarray) else hu
        region[near] = under + share * (over - under)
        if isinstance(box, np.ndarray):
            self.hu[box] = region
