"""Liver tumours and, beside them, cysts that are dark but carry no tumour label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfkd.phantom.patient import Patient
from tfkd.phantom.shapes import Canvas
from tfkd.phantom.space import Box, Space

__all__ = ["Lesion", "paint_lesions"]

DIAMETER_MM = (7.0, 34.0)  # nominal; the irregular outline and the voxels make it 5 to 40
GAP_MM = 4.0
ATTEMPTS = 60


@dataclass(frozen=True)
class Lesion:
    """A round change of the liver.

    Attributes:
        centre_mm: ``(x, y, z)`` on the unwarped grid.
        diameter_mm: Nominal diameter; the outline is irregular about it.
        is_tumour: False for a cyst.
    """

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    is_tumour: bool


def paint_lesions(
    canvas: Canvas,
    labels: np.ndarray,
    space: Space,
    liver: np.ndarray,
    patient: Patient,
    rng: np.random.Generator,
) -> list[Lesion]:
    """Place tumours and cysts apart from each other and paint them; label the tumours 2.

    Args:
        canvas: Painted on.
        labels: Mask with the liver as 1; the tumours are written into it.
        space: Patient coordinates.
        liver: Distance to the liver.
        patient: How many tumours, and the tissue values.
        rng: Source of the variation.

    Returns:
        The lesions that found room.
    """
    placed: list[Lesion] = []
    wanted = [(True, _tumour_diameter(rng)) for _ in range(patient.tumours)]
    wanted += [
        (False, float(rng.uniform(6, 22))) for _ in range(rng.choice(4, p=(0.4, 0.3, 0.2, 0.1)))
    ]
    for is_tumour, diameter in sorted(wanted, key=lambda want: -want[1]):
        lesion = _place(space, liver, placed, is_tumour, diameter, rng)
        if lesion is None:
            continue
        placed.append(lesion)
        if is_tumour:
            _paint_tumour(canvas, labels, space, liver, lesion, patient, rng)
        else:
            _paint_cyst(canvas, space, liver, lesion, rng)
    return placed


def _tumour_diameter(rng: np.random.Generator) -> float:
    # Many are small and few large, as in LiTS17.
    return float(np.clip(rng.lognormal(np.log(22), 0.45), *DIAMETER_MM))


def _place(
    space: Space,
    liver: np.ndarray,
    placed: list[Lesion],
    is_tumour: bool,
    diameter: float,
    rng: np.random.Generator,
) -> Lesion | None:
    """Find a voxel that is deep enough in the liver and far from the other lesions."""
    depth = max(4.0, 0.3 * diameter)
    candidates = np.flatnonzero(liver < -depth)
    for _ in range(ATTEMPTS if candidates.size else 0):
        voxel = np.unravel_index(candidates[rng.integers(candidates.size)], liver.shape)
        z, y, x = (float(axis[i]) for axis, i in zip(space.axes_mm, voxel, strict=True))
        lesion = Lesion((x, y, z), diameter, is_tumour)
        if all(_apart(lesion, other) for other in placed):
            return lesion
    return None


def _apart(a: Lesion, b: Lesion) -> bool:
    distance = float(np.linalg.norm(np.subtract(a.centre_mm, b.centre_mm)))
    return distance > 0.65 * (a.diameter_mm + b.diameter_mm) + GAP_MM


def _ball(
    space: Space, lesion: Lesion, rough: float, rng: np.random.Generator
) -> tuple[Box, Space, np.ndarray]:
    """Irregular ellipsoid of the lesion's volume on the unwarped grid."""
    radius = lesion.diameter_mm / 2
    centre = np.array(lesion.centre_mm)
    box = space.box(centre - 1.6 * radius, centre + 1.6 * radius)
    here = space.crop(box)
    stretch = rng.uniform(0.85, 1.15, 3)
    stretch /= np.prod(stretch) ** (1 / 3)
    x = (here.axes_mm[2] - centre[0])[None, None, :] / stretch[0]
    y = (here.axes_mm[1] - centre[1])[None, :, None] / stretch[1]
    z = (here.axes_mm[0] - centre[2])[:, None, None] / stretch[2]
    bumps = np.clip(here.noise(max(0.8 * radius, 3.0)), -1.5, 1.5)
    distance = np.sqrt(x * x + y * y + z * z) - radius + rough * radius * bumps
    return box, here, distance.astype(np.float32)


def _paint_tumour(
    canvas: Canvas,
    labels: np.ndarray,
    space: Space,
    liver: np.ndarray,
    lesion: Lesion,
    patient: Patient,
    rng: np.random.Generator,
) -> None:
    box, here, distance = _ball(space, lesion, 0.14, rng)
    inside = (distance < 0) & (labels[box] == 1)
    labels[box][inside] = 2
    # A tumour that reaches the capsule stops there.
    distance = np.maximum(distance, liver[box])
    local = patient.tissue.liver
    grain = rng.uniform(2, 7) * here.noise(max(lesion.diameter_mm / 6, 3.0))
    bright = patient.phase == "arterial" and rng.random() < 0.3
    # Never as dark as a cyst, even in a fatty liver.
    contrast = rng.uniform(18, 40) if bright else -rng.uniform(20, min(52, local - 20))
    edge = rng.uniform(2, 2 + 0.12 * lesion.diameter_mm)
    canvas.paint(distance, local + contrast + grain, box=box, edge_mm=edge)
    if lesion.diameter_mm > 16 and not bright and rng.random() < 0.35:
        rim = np.abs(distance + 1.0) - 0.06 * lesion.diameter_mm
        canvas.paint(rim, local + rng.uniform(8, 25), box=box, opacity=0.8)
    if lesion.diameter_mm > 20 and rng.random() < 0.4:
        core = distance + rng.uniform(0.3, 0.5) * lesion.diameter_mm / 2 + 2 * here.noise(6)
        canvas.paint(core, rng.uniform(18, 35), box=box, edge_mm=5)


def _paint_cyst(
    canvas: Canvas, space: Space, liver: np.ndarray, lesion: Lesion, rng: np.random.Generator
) -> None:
    box, _, distance = _ball(space, lesion, 0.04, rng)
    canvas.paint(np.maximum(distance, liver[box] + 1), rng.uniform(-2, 18), box=box)
