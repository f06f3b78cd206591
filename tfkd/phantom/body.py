"""The trunk around the organs: skin, fat, muscle, diaphragm, lungs and heart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfkd.phantom.patient import Patient
from tfkd.phantom.shapes import FAR_MM, Canvas, cylinder, ellipsoid, meet, unite
from tfkd.phantom.space import Space

__all__ = ["Trunk", "paint_chest", "paint_trunk"]

SKIN_MM = 2.2


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
    # The flanks carry three layers of muscle, the white line in front none.
    white_line = np.exp(-((space.x / 9) ** 2)) * (space.y < 0)
    muscle_mm = 8 + 4.5 * side + 9 * back * back + 1.2 * space.noise(27) - 6 * white_line
    muscle = cavity - muscle_mm
    groove = rng.uniform(3, 9) * np.exp(-((space.x / 22) ** 2)) * back
    fat_mm = patient.fat_mm * (0.75 + 0.35 * side + 0.45 * back * (1 - side))
    skin = muscle - fat_mm + groove - rng.uniform(1.0, 2.5) * space.noise(43)
    canvas.paint(skin, rng.uniform(0, 30))
    canvas.paint(skin + SKIN_MM, tissue.fat + 5 * space.noise(14))
    _paint_muscles(canvas, space, patient, muscle, cavity, rng)
    canvas.paint(cavity, tissue.fat + 6 + 7 * space.noise(9))
    spine = _paint_back(canvas, space, patient, rng)
    return Trunk(cavity, muscle, skin, _diaphragm(space, sx, sy, sz, rng), spine)


def _cavity(
    space: Space, sx: float, sy: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Close to a superellipse, without its powers: the trunk is fuller than an ellipse.
    fullness = rng.uniform(0.25, 0.6)
    x, y = space.x, space.y + np.float32(10 * sy)
    u, v = x / np.float32(125 * sx), y / np.float32(91 * sy)
    u, v = u * u, v * v
    radius = np.sqrt(x * x + y * y) + np.float32(1e-3)
    total = u + v + np.float32(1e-6)
    scaled = np.sqrt(total - fullness * u * v / total)
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
    hu = patient.tissue.muscle + 5 * space.noise(7)
    canvas.paint(muscle, hu)
    # Fat planes between the layers of the wall, patchy as in life.
    layer = np.abs(cavity - 5.5 - 1.2 * space.noise(25)) - 0.9
    patchy = np.clip(space.noise(18) + 0.3, 0, 1)
    canvas.paint(layer, hu + patchy * (patient.tissue.fat - hu), opacity=0.5)


def _paint_back(
    canvas: Canvas, space: Space, patient: Patient, rng: np.random.Generator
) -> np.ndarray:
    """Muscles along the spine, psoas and crura; returns the distance to all of it."""
    sx, sy, _ = patient.size
    box = space.box((-75 * sx, 8 * sy, -999), (75 * sx, 120 * sy, 999))
    here = space.crop(box)
    hu = patient.tissue.muscle + 6 * here.noise(8)
    x, y = np.abs(here.x), here.y
    erector = cylinder(x - 33 * sx, y - 80 * sy, 27 * sx, 19 * sy)
    psoas_mm = np.clip(10 - here.z / 7, 2, 24)
    psoas = np.hypot(x - (27 * sx + psoas_mm * 0.5), (y - 38 * sy) * 0.9) - psoas_mm
    crus = cylinder(x - 14 * sx, y - 22 * sy, 9 * sx, 7 * sy)
    body = cylinder(x, y - 44 * sy, 26 * sx, 22 * sy)
    for part in (erector, psoas, crus):
        canvas.paint(part, hu, box=box)
    spine = np.full(space.shape, FAR_MM, np.float32)
    spine[box] = np.minimum(unite(body, erector, 8), np.minimum(psoas, crus))
    return spine


def _diaphragm(
    space: Space, sx: float, sy: float, sz: float, rng: np.random.Generator
) -> np.ndarray:
    """Height above two paraboloid domes; the right one, over the liver, is the higher."""
    right = rng.uniform(70, 92) * sz
    left = right - rng.uniform(5, 18)
    y2 = ((space.y + 22 * sy) / sy) ** 2 / 150
    tops = []
    for top, centre in ((right, -56 * sx), (left, 54 * sx)):
        tops.append(y2 + ((space.x - centre) / sx) ** 2 / 115 - np.float32(top))
    domes = unite(tops[0], tops[1], 50) + space.z
    return domes * np.float32(0.75) + 2 * space.noise(30)


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
    middle = cylinder(space.x - 4 * sx, space.y - 25 * sy, 24 * sx, 26 * sy)
    lung = meet(lung, -middle, 6)
    # Vessels of the lung are the crests of a smooth field.
    crests = np.abs(space.noise(11)) + 0.8 * np.abs(space.noise(16))
    hu = -870 + 40 * space.noise(40) + 700 * np.clip(1 - crests / 0.16, 0, 1)
    wall = np.abs(trunk.diaphragm) - 1.6
    canvas.paint(meet(wall, trunk.cavity, 1), patient.tissue.muscle)
    canvas.paint(lung, hu, edge_mm=3)
    top = 92 * sz + rng.uniform(-6, 8)
    heart = ellipsoid(space, (22 * sx, -46 * sy, top), (60 * sx, 44 * sy, 38 * sz), 0.5)
    heart = meet(heart, -trunk.diaphragm, 4)
    pad = ellipsoid(space, (8 * sx, -88 * sy, top - 14), (60 * sx, 30 * sy, 44 * sz))
    pad = unite(heart - 4, meet(pad, -trunk.diaphragm, 3), 8)
    canvas.paint(meet(pad, trunk.cavity + 2, 2), patient.tissue.fat + 10)
    blood = 0.75 * patient.tissue.aorta + 15
    canvas.paint(heart, patient.tissue.muscle + 25)
    chamber = np.minimum(heart + 11, 60) - 6 * space.noise(18)
    canvas.paint(chamber, blood)
