"""The trunk around the organs: skin, fat, muscle, ribs, spine, diaphragm, lungs and heart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfkd.volumes.phantom.patient import Patient
from tfkd.volumes.phantom.shapes import Canvas, ellipsoid, meet, unite
from tfkd.volumes.phantom.space import Space

__all__ = ["Trunk", "paint_bones", "paint_chest", "paint_trunk"]

SKIN_MM = 2.2
VERTEBRA_MM = 33.0


@dataclass(frozen=True, eq=False)
class Trunk:
    """Distances that the organs are fitted into.

    Attributes:
        cavity: To the inner side of the muscle wall, negative inside.
        muscle: To the outer side of the muscle wall.
        skin: To the body's surface.
        diaphragm: To the abdomen below the domes of the diaphragm, negative in the abdomen.
        spine: To the spine and the muscles beside it.
    """

    cavity: np.ndarray
    muscle: np.ndarray
    skin: np.ndarray
    diaphragm: np.ndarray
    spine: np.ndarray


def paint_trunk(canvas: Canvas, space: Space, patient: Patient, rng: np.random.Generator) -> Trunk:
    """Paint the body wall and the fat inside of it.

    Args:
        canvas: Painted on.
        space: Patient coordinates.
        patient: Build and tissue values.
        rng: Source of the variation.

    Returns:
        The distances that later organs need.
    """
    sx, sy, sz = patient.size
    tissue = patient.tissue
    cavity, back, side = _cavity(space, sx, sy, rng)
    muscle_mm = 9 + 4 * side + 9 * back * back
    muscle = cavity - muscle_mm
    fat_mm = patient.fat_mm * (0.75 + 0.4 * side + 0.35 * back)
    skin = muscle - fat_mm - rng.uniform(0.5, 2.0) * space.noise(45, rng)
    canvas.paint(skin, rng.uniform(0, 30))
    canvas.paint(skin + SKIN_MM, tissue.fat + 5 * space.noise(14, rng))
    _paint_muscles(canvas, space, patient, muscle, cavity, rng)
    canvas.paint(cavity, tissue.fat + 6 + 7 * space.noise(9, rng))
    spine = _paint_back(canvas, space, patient, rng)
    return Trunk(cavity, muscle, skin, _diaphragm(space, sx, sy, sz, rng), spine)


def _cavity(
    space: Space, sx: float, sy: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    power = rng.uniform(1.1, 1.3)
    x, y = space.x, space.y + np.float32(8 * sy)
    u, v = x / np.float32(128 * sx), y / np.float32(87 * sy)
    u, v = u * u, v * v
    radius = np.sqrt(x * x + y * y) + np.float32(1e-3)
    scaled = (u**power + v**power) ** (0.5 / power) + np.float32(1e-6)
    back = np.clip(y / radius, 0, 1)
    side = x * x / (radius * radius)
    return radius - radius / scaled, back, side


def _paint_muscles(
    canvas: Canvas,
    space: Space,
    patient: Patient,
    muscle: np.ndarray,
    cavity: np.ndarray,
    rng: np.random.Generator,
) -> None:
    hu = patient.tissue.muscle + 5 * space.noise(7, rng)
    canvas.paint(muscle, hu)
    # Fat planes between the layers of the wall, patchy as in life.
    layer = np.abs(cavity - 5.5 - 1.2 * space.noise(25, rng)) - 0.9
    patchy = 0.5 * np.clip(space.noise(18, rng) + 0.3, 0, 1)
    canvas.hu += (
        np.clip(0.5 - layer / space.pixel_mm, 0, 1) * patchy * (patient.tissue.fat - canvas.hu)
    )


def _paint_back(
    canvas: Canvas, space: Space, patient: Patient, rng: np.random.Generator
) -> np.ndarray:
    """Muscles along the spine, psoas and crura; returns the distance to all of it."""
    sx, sy, _ = patient.size
    hu = patient.tissue.muscle + 6 * space.noise(8, rng)
    x = np.abs(space.x)
    erector = _column(x - 33 * sx, space.y - 80 * sy, 27 * sx, 19 * sy)
    psoas_mm = np.clip(10 - space.z / 7, 2, 24)
    psoas = np.hypot(x - (27 * sx + psoas_mm * 0.5), (space.y - 38 * sy) * 0.9) - psoas_mm
    crus = _column(x - 14 * sx, space.y - 22 * sy, 9 * sx, 7 * sy)
    body = _column(x, space.y - 44 * sy, 26 * sx, 22 * sy)
    for part in (erector, psoas, crus):
        canvas.paint(part, hu)
    return np.minimum(unite(body, erector, 8), np.minimum(psoas, crus))


def _column(x: np.ndarray, y: np.ndarray, rx: float, ry: float) -> np.ndarray:
    """Distance to an elliptic cylinder along z."""
    scaled = np.sqrt((x / rx) ** 2 + (y / ry) ** 2) + np.float32(1e-6)
    return (scaled - 1) * np.float32(min(rx, ry))


def _diaphragm(
    space: Space, sx: float, sy: float, sz: float, rng: np.random.Generator
) -> np.ndarray:
    """Height above two paraboloid domes; the right one, over the liver, is the higher."""
    right = rng.uniform(70, 92) * sz
    left = right - rng.uniform(5, 18)
    y2 = ((space.y + 22 * sy) / sy) ** 2 / 150
    tops = []
    for top, centre in ((right, -62 * sx), (left, 60 * sx)):
        tops.append(y2 + ((space.x - centre) / sx) ** 2 / 105 - np.float32(top))
    domes = unite(tops[0], tops[1], 30) + space.z
    return domes * np.float32(0.75) + 2 * space.noise(30, rng)


def paint_chest(
    canvas: Canvas, space: Space, trunk: Trunk, patient: Patient, rng: np.random.Generator
) -> None:
    """Paint the lung bases, the heart and the mediastinum above the diaphragm.

    Args:
        canvas: Painted on.
        space: Patient coordinates.
        trunk: What the chest is bounded by.
        patient: Build and tissue values.
        rng: Source of the variation.
    """
    sx, sy, sz = patient.size
    lung = meet(-trunk.diaphragm, trunk.cavity + 3, 4)
    middle = _column(space.x - 4 * sx, space.y - 25 * sy, 24 * sx, 26 * sy)
    lung = meet(lung, -middle, 6)
    # Vessels of the lung are the crests of a smooth field.
    crests = np.abs(space.noise(11, rng)) + 0.8 * np.abs(space.noise(16, rng))
    hu = -870 + 40 * space.noise(40, rng) + 700 * np.clip(1 - crests / 0.16, 0, 1)
    wall = np.abs(trunk.diaphragm) - 1.6
    canvas.paint(meet(wall, trunk.cavity, 1), patient.tissue.muscle)
    canvas.paint(lung, hu, edge_mm=3)
    top = 95 * sz + rng.uniform(-4, 10)
    heart = ellipsoid(space, (22 * sx, -42 * sy, top), (58 * sx, 44 * sy, 34 * sz), 0.5)
    heart = meet(heart, -trunk.diaphragm, 4)
    canvas.paint(heart - 4, patient.tissue.fat + 10)
    blood = 0.75 * patient.tissue.aorta + 15
    canvas.paint(heart, patient.tissue.muscle + 35)
    chamber = np.minimum(heart + 11, 60) - 6 * space.noise(18, rng)
    canvas.paint(chamber, blood)


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
    _paint_spine(canvas, space, patient, rng)
    _paint_ribs(canvas, space, trunk, patient, rng)


def _paint_spine(canvas: Canvas, space: Space, patient: Patient, rng: np.random.Generator) -> None:
    sx, sy, sz = patient.size
    bone = patient.tissue.bone
    period = VERTEBRA_MM * sz
    box = space.box((-50 * sx, 15 * sy, -999), (50 * sx, 120 * sy, 999))
    here = space.crop(box)
    level = (here.z + rng.uniform(0, period)) % period - period / 2
    disc = np.abs(level) - 4.0
    marrow = bone * (190 + 45 * here.noise(4, rng))
    cortex = bone * rng.uniform(420, 620)
    waist = 1.5 * np.cos(level * (2 * np.pi / period))
    body = _column(here.x, here.y - 41 * sy, 22 * sx, 17 * sy) + waist - 1
    canal = _column(here.x, here.y - 65 * sy, 10 * sx, 8.5 * sy)
    lamina = meet(canal - 5, 62 * sy - here.y, 2)
    pedicle = meet(np.abs(np.abs(here.x) - 13 * sx) - 4, np.abs(here.y - 58 * sy) - 9, 3)
    pedicle = meet(pedicle, 9 - np.abs(level), 4)
    across = np.hypot(here.y - 64 * sy, np.abs(level) - period / 2 + 4) - 4.5
    across = meet(across, np.abs(here.x) - 38 * sx, 3)
    spinous = meet(np.abs(here.x) - 3, np.abs(here.y - 84 * sy) - 15 * sy, 3)
    spinous = meet(spinous, 6 - np.abs(level), 4)
    arch = np.minimum(np.minimum(lamina, pedicle), np.minimum(across, spinous))
    canvas.paint(arch, cortex, box=box)
    canvas.paint(arch + 2.4, marrow, box=box)
    canvas.paint(body, cortex, box=box)
    canvas.paint(body + 2.2, marrow, box=box)
    canvas.paint(meet(body + 0.5, disc, 1), 85, box=box)
    canvas.paint(canal, 18, box=box)
    canvas.paint(canal + 3.5, 38, box=box)


def _paint_ribs(
    canvas: Canvas, space: Space, trunk: Trunk, patient: Patient, rng: np.random.Generator
) -> None:
    sz = patient.size[2]
    bone = patient.tissue.bone
    # A rib falls from the back to the front, so that an axial slice cuts each one obliquely.
    turn = np.arctan2(np.abs(space.x), space.y + 8) / np.float32(np.pi)
    fall = 105 * sz * turn
    period = 27 * sz
    depth = trunk.cavity - 4.5
    height = (space.z + fall + rng.uniform(0, period)) % period - period / 2
    rib = np.sqrt((depth * 1.25) ** 2 + (height * 0.62) ** 2) - 4.6
    # The costal margin: lower ribs end further back; cartilage bridges the front.
    margin = turn - np.clip(0.62 + space.z / (260 * sz), 0.18, 0.8)
    rib = meet(rib, margin * 200, 4)
    rib = meet(rib, (0.13 - turn) * 200, 4)
    canvas.paint(rib, bone * rng.uniform(380, 560))
    canvas.paint(rib + 2.3, bone * 170)
    cartilage = np.sqrt((depth * 1.1) ** 2 + (height * 0.55) ** 2) - 4.2
    cartilage = meet(cartilage, np.maximum(-margin * 200, (turn - 0.88) * 200), 4)
    cartilage = meet(cartilage, (25 - space.z) * 1.0, 4)
    canvas.paint(cartilage, 95)
