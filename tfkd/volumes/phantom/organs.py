"""Everything in the abdomen except the liver: vessels, kidneys, spleen, stomach and bowel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfkd.volumes.phantom.body import Trunk
from tfkd.volumes.phantom.patient import Patient
from tfkd.volumes.phantom.shapes import FAR_MM, Canvas, Tube, carve, ellipsoid, meet, tubes, unite
from tfkd.volumes.phantom.space import Space

__all__ = ["Organs", "paint_organs", "place_organs"]


@dataclass(frozen=True, eq=False)
class Organs:
    """Distances to the organs that lie beside the liver.

    Attributes:
        kidneys: To both kidneys.
        stomach: To the stomach's outer wall.
        spleen: To the spleen.
        cava: To the inferior vena cava.
        gallbladder: To the gallbladder.
    """

    kidneys: np.ndarray
    stomach: np.ndarray
    spleen: np.ndarray
    cava: np.ndarray
    gallbladder: np.ndarray


def place_organs(space: Space, trunk: Trunk, patient: Patient, rng: np.random.Generator) -> Organs:
    """Decide where the liver's neighbours lie.

    Args:
        space: Patient coordinates.
        trunk: The cavity that they lie in.
        patient: Build.
        rng: Source of the variation.

    Returns:
        Their distances.
    """
    scale = np.array(patient.size)

    def at(x: float, y: float, z: float, jitter: float = 4.0) -> np.ndarray:
        return (np.array([x, y, z]) + rng.uniform(-jitter, jitter, 3)) * scale

    grow = rng.uniform(0.9, 1.1, 3)
    right = ellipsoid(space, at(-62, 36, -48, 6), scale * (30, 25, 54) * grow, 0.5)
    left = ellipsoid(space, at(64, 36, -36, 6), scale * (30, 25, 55) * grow, -0.5)
    kidneys = np.minimum(right, left) + 1.2 * space.noise(15)
    inner = trunk.cavity + 2
    spleen = ellipsoid(
        space, at(101, 28, 38, 6), scale * (27, 44, 46) * rng.uniform(0.8, 1.2), -0.35
    )
    spleen = meet(spleen + 1.5 * space.noise(18), inner, 6)
    spleen = meet(spleen, trunk.diaphragm + 3, 4)
    spleen = carve(spleen, left, 4, 8)
    full = rng.uniform(0.85, 1.3)
    fundus = ellipsoid(space, at(62, 8, 56), scale * (34, 34, 34) * full)
    corpus = ellipsoid(space, at(58, -32, 24), scale * (31, 30, 42) * full)
    antrum = ellipsoid(space, at(24, -54, -8), scale * (40, 19, 19) * full)
    stomach = unite(unite(fundus, corpus, 25), antrum, 18) + 2 * space.noise(16)
    stomach = meet(carve(stomach, spleen, 1), inner - 1, 4)
    stomach = meet(stomach, trunk.diaphragm + 3, 4)
    cava_path = [at(-21, 18, z, 2) for z in (-110, -40, 10)] + [
        at(-22, 6, 60, 2),
        at(-14, -8, 95, 2),
    ]
    cava = tubes(space, _path(cava_path, rng.uniform(9, 11), rng.uniform(10, 14)), 30)
    gallbladder = tubes(
        space, _path([at(-42, -20, -2), at(-46, -50, -30, 9)], 7, rng.uniform(9, 17)), 30
    )
    gallbladder = gallbladder + space.noise(14)
    if rng.random() < 0.12:
        gallbladder = np.full_like(gallbladder, FAR_MM)  # taken out in an operation
    return Organs(kidneys, stomach, spleen, cava, gallbladder)


def _path(points: list[np.ndarray], first_radius: float, last_radius: float) -> list[Tube]:
    radii = np.linspace(first_radius, last_radius, len(points))
    return [
        Tube(points[i], points[i + 1], float(radii[i]), float(radii[i + 1]))
        for i in range(len(points) - 1)
    ]


def paint_organs(
    canvas: Canvas,
    space: Space,
    trunk: Trunk,
    organs: Organs,
    patient: Patient,
    rng: np.random.Generator,
) -> None:
    """Paint the organs in an order in which the solid ones win over the bowel.

    Args:
        canvas: Painted on.
        space: Patient coordinates.
        trunk: The cavity.
        organs: Where they lie.
        patient: Build and tissue values.
        rng: Source of the variation.
    """
    _paint_bowel(canvas, space, trunk, patient, rng)
    _paint_pancreas(canvas, space, patient, rng)
    _paint_kidneys(canvas, space, organs, patient, rng)
    _paint_stomach(canvas, space, organs, patient, rng)
    spotty = 28 if patient.phase == "arterial" else 3  # the spleen fills in bands at first
    canvas.paint(organs.spleen, patient.tissue.spleen + spotty * space.noise(6))
    _paint_great_vessels(canvas, space, organs, patient, rng)


def _paint_bowel(
    canvas: Canvas, space: Space, trunk: Trunk, patient: Patient, rng: np.random.Generator
) -> None:
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
    scale = np.array(patient.size)
    sag = rng.uniform(0, 35)
    stops = [(-92, -5, -150), (-90, -12, -85), (-80, -38, -62), (-30, -70, -62 - sag)]
    stops += [(30, -72, -50 - sag), (80, -50, -8), (98, -22, 28), (104, 6, -20), (98, 10, -150)]
    points = [(np.array(stop) + rng.uniform(-7, 7, 3)) * scale for stop in stops]
    colon = tubes(space, _path(points, rng.uniform(17, 23), rng.uniform(12, 17)), 8)
    colon = meet(colon + 2.2 * space.noise(13), trunk.cavity + 3, 4)
    canvas.paint(colon, patient.tissue.wall)
    stool = 30 + 25 * space.noise(6)
    gassy = space.noise(8) + 0.6 * space.noise(22)
    canvas.paint(colon + 3, np.where(gassy > rng.uniform(0.2, 1.0), -800, stool))


def _paint_pancreas(
    canvas: Canvas, space: Space, patient: Patient, rng: np.random.Generator
) -> None:
    scale = np.array(patient.size)
    stops = [(-24, -8, -32), (-8, -18, -14), (22, -12, -2), (52, 12, 10), (82, 28, 22)]
    points = [(np.array(stop) + rng.uniform(-4, 4, 3)) * scale for stop in stops]
    lobules = 2.2 * space.noise(6)
    gland = tubes(space, _path(points, 14, 9), 8) + lobules
    canvas.paint(gland, patient.tissue.pancreas + 4 * space.noise(6), edge_mm=4)
    duodenum = [(-28, -30, -5), (-42, -12, -22), (-42, 4, -60), (-10, 6, -78), (20, 2, -70)]
    points = [(np.array(stop) + rng.uniform(-4, 4, 3)) * scale for stop in duodenum]
    tube = tubes(space, _path(points, 12, 11), 6) + 1.2 * space.noise(9)
    canvas.paint(tube, patient.tissue.wall)
    canvas.paint(tube + 4, rng.uniform(10, 60))
    vein = [
        np.array(stop) * scale for stop in ((-6, -6, -18), (26, 0, -4), (56, 20, 10), (88, 32, 24))
    ]
    canvas.paint(tubes(space, _path(vein, 5.5, 3.5)), patient.tissue.portal)


def _paint_kidneys(
    canvas: Canvas, space: Space, organs: Organs, patient: Patient, rng: np.random.Generator
) -> None:
    tissue = patient.tissue
    sx, sy, sz = patient.size
    kidneys = organs.kidneys
    x = np.abs(space.x)
    hilum = np.hypot((x - 36 * sx) / 1.6, (space.y - 22 * sy) / 1.3)
    hilum = np.hypot(hilum, (space.z + 42 * sz) / 2.2) - 10 * sx
    kidneys = carve(kidneys, hilum + 2 * space.noise(9), 0, 5)
    canvas.paint(kidneys, tissue.cortex + 4 * space.noise(6))
    pyramids = np.maximum(kidneys + 6, 3.5 * space.noise(9) - 3.0)
    canvas.paint(pyramids, tissue.medulla, edge_mm=3.5)
    sinus = np.maximum(kidneys + 11, 3 * space.noise(10))
    canvas.paint(sinus, tissue.fat + 25, edge_mm=4)
    renal = [
        Tube((s * 12 * sx, 16 * sy, -38 * sz), (s * 44 * sx, 24 * sy, -42 * sz), 5, 4)
        for s in (-1, 1)
    ]
    canvas.paint(tubes(space, renal), 0.9 * tissue.portal)


def _paint_stomach(
    canvas: Canvas, space: Space, organs: Organs, patient: Patient, rng: np.random.Generator
) -> None:
    stomach = organs.stomach
    wall = patient.tissue.wall + 4 * space.noise(8)
    canvas.paint(stomach, wall)
    folds = rng.uniform(3.5, 6) + 1.5 * space.noise(8)
    lumen = stomach + folds
    # Water, food that is iso-dense to the liver, or positive contrast medium.
    content = rng.choice([rng.uniform(0, 30), rng.uniform(50, 110), rng.uniform(160, 300)])
    canvas.paint(lumen, float(content) + 9 * space.noise(10))
    level = rng.uniform(-58, -20) * patient.size[1]
    canvas.paint(meet(lumen, space.y - np.float32(level), 1), -930)


def _paint_great_vessels(
    canvas: Canvas, space: Space, organs: Organs, patient: Patient, rng: np.random.Generator
) -> None:
    tissue = patient.tissue
    scale = np.array(patient.size)

    def at(x: float, y: float, z: float) -> np.ndarray:
        return (np.array([x, y, z]) + rng.uniform(-2, 2, 3)) * scale

    aorta = [at(3, 14, -150), at(6, 14, -40), at(8, 16, 20), at(10, 26, 130)]
    tree = _path(aorta, rng.uniform(8, 10), rng.uniform(10.5, 13))
    tree.append(Tube(at(6, 12, 2), at(4, -10, -4), 4, 3.5))
    tree.append(Tube(at(4, -10, -4), at(-26, -14, 2), 3, 2.2))
    tree.append(Tube(at(6, 10, -8), at(4, -14, -60), 4, 3.2))
    canvas.paint(tubes(space, tree), tissue.aorta)
    canvas.paint(organs.cava, 0.5 * (tissue.veins + tissue.portal) + 5 * space.noise(12))
    portal = [at(2, -16, -70), at(-4, -8, -20), at(-26, -6, 2)]
    canvas.paint(tubes(space, _path(portal, 5, 6.5)), tissue.portal)
