"""The bowel: loops of small bowel, colon, and the vessels of the mesentery."""

from __future__ import annotations

import numpy as np

from tfkd.phantom.body import Trunk
from tfkd.phantom.patient import Patient
from tfkd.phantom.shapes import Canvas, Tube, chain, meet, tubes
from tfkd.phantom.space import Space

__all__ = ["paint_bowel"]


def paint_bowel(
    canvas: Canvas, space: Space, trunk: Trunk, patient: Patient, rng: np.random.Generator
) -> None:
    """Paint the small bowel, the colon and the vessels between them.

    Args:
        canvas: Painted on.
        space: Patient coordinates.
        trunk: The cavity.
        patient: Build and tissue values.
        rng: Source of the variation.
    """
    scale = np.array(patient.size)
    oral = rng.random() < 0.35  # oral contrast has reached the bowel
    filling = rng.uniform(150, 320) if oral else rng.uniform(8, 35)
    wall = patient.tissue.wall + 5 * space.noise(9)
    _paint_mesentery(canvas, space, patient, rng)
    for _ in range(int(rng.integers(60, 85))):
        # The small bowel fills the left side up to the stomach, the right one only far below.
        start = rng.uniform((-85, -80, -125), (95, 5, 12)) * scale
        if start[0] < 10:
            start[2] -= 45 * scale[2]
        turn = rng.normal(size=3) * (1, 0.7, 0.6)
        end = start + turn / np.linalg.norm(turn) * rng.uniform(15, 45)
        radius = rng.uniform(8, 13)
        content = filling if rng.random() < 0.7 else rng.uniform(10, 60)
        _paint_loop(canvas, space, trunk, (start, end, radius), (wall, content), rng)
    _paint_colon(canvas, space, trunk, patient, rng)


def _paint_loop(
    canvas: Canvas,
    space: Space,
    trunk: Trunk,
    loop: tuple[np.ndarray, np.ndarray, float],
    values: tuple[np.ndarray, float],
    rng: np.random.Generator,
) -> None:
    start, end, radius = loop
    box = space.box(np.minimum(start, end) - radius, np.maximum(start, end) + radius, 4)
    here = space.crop(box)
    if not here.x.size:
        return
    tube = tubes(here, [Tube(start, end, radius, radius * rng.uniform(0.7, 1.1))], 6)
    tube = tube + 1.3 * here.noise(10)
    tube = meet(tube, trunk.cavity[box] + 3, 4)
    canvas.paint(tube, values[0][box], box=box)
    canvas.paint(tube + rng.uniform(2.5, 5), values[1] + 6 * here.noise(8), box=box)
    if rng.random() < 0.2:
        gas = meet(tube + 3, here.y - float(start[1] - 0.2 * radius), 1)
        canvas.paint(gas, -900, box=box)


def _paint_mesentery(
    canvas: Canvas, space: Space, patient: Patient, rng: np.random.Generator
) -> None:
    scale = np.array(patient.size)
    twigs = []
    for _ in range(45):
        root = rng.uniform((-60, -60, -120), (80, 0, 20)) * scale
        run = rng.normal(size=3) * (14, 10, 18)
        twigs.append(Tube(root, root + run, rng.uniform(1.2, 2.6), 1.0))
    canvas.paint(tubes(space, twigs), patient.tissue.portal * 0.85, opacity=0.8)


def _paint_colon(
    canvas: Canvas, space: Space, trunk: Trunk, patient: Patient, rng: np.random.Generator
) -> None:
    """Ascending, transverse and descending colon with stool and gas."""
    sag = rng.uniform(0, 35)
    stops = [(-92, -5, -150), (-90, -12, -85), (-80, -38, -62), (-30, -70, -62 - sag)]
    stops += [(30, -72, -50 - sag), (80, -50, -8), (98, -22, 28), (104, 6, -20), (98, 10, -150)]
    points = [patient.point(stop, rng, 7) for stop in stops]
    colon = tubes(space, chain(points, rng.uniform(17, 23), rng.uniform(12, 17)), 8)
    colon = meet(colon + 2.2 * space.noise(13), trunk.cavity + 3, 4)
    canvas.paint(colon, patient.tissue.wall)
    stool = 30 + 25 * space.noise(6)
    gassy = space.noise(8) + 0.6 * space.noise(22)
    canvas.paint(colon + 3, np.where(gassy > rng.uniform(0.2, 1.0), -800, stool))
