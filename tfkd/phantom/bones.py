"""The bones: spine with canal and discs, ribs with marrow and cartilage."""

from __future__ import annotations

import numpy as np

from tfkd.phantom.body import Trunk
from tfkd.phantom.patient import Patient
from tfkd.phantom.shapes import Canvas, cylinder, meet
from tfkd.phantom.space import Space

__all__ = ["paint_bones"]

VERTEBRA_MM = 33.0
RIB_MM = 27.0


def paint_bones(
    canvas: Canvas, space: Space, trunk: Trunk, patient: Patient, rng: np.random.Generator
) -> None:
    """Paint the spine with its canal and discs, and the ribs with their marrow.

    Args:
        canvas: Painted on.
        space: Patient coordinates.
        trunk: The wall that the ribs lie in.
        patient: Build and tissue values.
        rng: Source of the variation.
    """
    _paint_ribs(canvas, space, trunk, patient, rng)
    _paint_spine(canvas, space, patient, rng)


def _paint_spine(canvas: Canvas, space: Space, patient: Patient, rng: np.random.Generator) -> None:
    sx, sy, sz = patient.size
    bone = patient.tissue.bone
    box = space.box((-50 * sx, 15 * sy, -999), (50 * sx, 120 * sy, 999))
    here = space.crop(box)
    period = VERTEBRA_MM * sz
    level = (here.z + rng.uniform(0, period)) % period - period / 2  # 0 in the middle of a body
    marrow = bone * (150 + 40 * here.noise(4))
    cortex = bone * rng.uniform(330, 480)
    arch = _arch(here, level, sx, sy)
    canvas.paint(arch, cortex, box=box)
    canvas.paint(arch + 2.6, marrow, box=box)
    waist = 2.0 * np.cos(level * (2 * np.pi / period))
    body = cylinder(here.x, here.y - 41 * sy, 22 * sx, 17 * sy) + waist - 1
    canal = cylinder(here.x, here.y - 65 * sy, 10.5 * sx, 8.5 * sy)
    body = meet(body, -canal, 3)
    canvas.paint(body, cortex, box=box)
    canvas.paint(body + 2.0, marrow, box=box)
    disc = period / 2 - 4.2 - np.abs(level)
    canvas.paint(np.maximum(body + 0.5, disc), 85, box=box)
    canvas.paint(canal, 8, box=box)
    canvas.paint(canal + 3.5, 34, box=box)


def _arch(here: Space, level: np.ndarray, sx: float, sy: float) -> np.ndarray:
    """Pedicles, laminae, processes and facet joints, each on its own levels."""
    x, y = np.abs(here.x) / np.float32(sx), here.y / np.float32(sy) - 65
    pedicle = np.maximum(_bar(x, y, (14, -14), (13, 2), 4), np.abs(level - 4) - 7)
    lamina = np.maximum(_bar(x, y, (13, 3), (2, 14), 3.2), np.abs(level + 5) - 9)
    across = np.maximum(_bar(x, y, (14, 2), (33, 9), 3.2), np.abs(level - 2) - 5)
    spinous = np.maximum(_bar(x, y, (0, 13), (0, 33), 2.8), np.abs(level + 8) - 8)
    facet = np.maximum(_bar(x, y, (17, 2), (14, 9), 5.0), 8 - np.abs(level))
    return np.minimum(np.minimum(np.minimum(pedicle, lamina), np.minimum(across, spinous)), facet)


def _bar(
    x: np.ndarray,
    y: np.ndarray,
    start: tuple[float, float],
    end: tuple[float, float],
    radius: float,
) -> np.ndarray:
    """Distance to a round-ended bar in the axial plane."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    x, y = x - start[0], y - start[1]
    along = np.clip((x * dx + y * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - along * dx, y - along * dy) - radius


def _paint_ribs(
    canvas: Canvas, space: Space, trunk: Trunk, patient: Patient, rng: np.random.Generator
) -> None:
    sz = patient.size[2]
    bone = patient.tissue.bone
    wall = np.abs(trunk.cavity - 4.5) < 9
    x, y, z = space.x[wall], space.y[wall] + 10, space.z[wall]
    # 0 at the spine, 1 in front. A rib falls on its way, so that an axial slice cuts each one
    # obliquely.
    turn = np.arctan2(np.abs(x), y) / np.float32(np.pi)
    fall = sz * (60 * np.sqrt(turn) + 85 * turn)
    period = RIB_MM * sz
    depth = trunk.cavity[wall] - 4.5
    height = (z + fall + rng.uniform(0, period)) % period - period / 2
    rib = np.sqrt((depth * 1.45) ** 2 + (height * 0.95) ** 2) - 5.6
    # The costal margin: lower ribs end further back; cartilage bridges the front.
    margin = 200 * (turn - np.clip(0.6 + z / (260 * sz), 0.18, 0.72))
    bony = meet(rib, np.maximum(margin, 200 * (0.12 - turn)), 4)
    canvas.paint(bony, bone * rng.uniform(330, 480), box=wall)
    canvas.paint(bony + 2.4, bone * 150, box=wall)
    front = np.maximum(-margin, 200 * (turn - 0.86))
    canvas.paint(meet(rib - 0.8, np.maximum(front, 20 - z), 4), 95, box=wall)
