"""What fills the abdomen beside liver and bowel: kidneys, spleen, stomach, pancreas, vessels."""

from __future__ import annotations

import numpy as np

from tfkd.phantom.body import Trunk
from tfkd.phantom.bowel import paint_bowel
from tfkd.phantom.neighbours import Organs
from tfkd.phantom.patient import Patient
from tfkd.phantom.shapes import Canvas, Tube, carve, chain, meet, tubes
from tfkd.phantom.space import Space

__all__ = ["paint_organs"]


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
    paint_bowel(canvas, space, trunk, patient, rng)
    _paint_pancreas(canvas, space, patient, rng)
    _paint_kidneys(canvas, space, organs, patient, rng)
    _paint_stomach(canvas, space, organs, patient, rng)
    spotty = 28 if patient.phase == "arterial" else 3  # the spleen fills in bands at first
    canvas.paint(organs.spleen, patient.tissue.spleen + spotty * space.noise(6))
    _paint_great_vessels(canvas, space, organs, patient, rng)


def _paint_pancreas(
    canvas: Canvas, space: Space, patient: Patient, rng: np.random.Generator
) -> None:
    stops = [(-24, -8, -32), (-8, -18, -14), (22, -12, -2), (52, 12, 10), (82, 28, 22)]
    points = [patient.point(stop, rng) for stop in stops]
    lobules = 2.2 * space.noise(6)
    gland = tubes(space, chain(points, 14, 9), 8) + lobules
    canvas.paint(gland, patient.tissue.pancreas + 4 * space.noise(6), edge_mm=4)
    duodenum = [(-28, -30, -5), (-42, -12, -22), (-42, 4, -60), (-10, 6, -78), (20, 2, -70)]
    points = [patient.point(stop, rng) for stop in duodenum]
    tube = tubes(space, chain(points, 12, 11), 6) + 1.2 * space.noise(9)
    canvas.paint(tube, patient.tissue.wall)
    canvas.paint(tube + 4, rng.uniform(10, 60))
    splenic = [(-6, -6, -18), (26, 0, -4), (56, 20, 10), (88, 32, 24)]
    vein = [patient.point(stop, rng, 1) for stop in splenic]
    canvas.paint(tubes(space, chain(vein, 5.5, 3.5)), patient.tissue.portal)


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

    def at(x: float, y: float, z: float) -> np.ndarray:
        return patient.point((x, y, z), rng, 2)

    aorta = [at(3, 14, -150), at(6, 14, -40), at(8, 16, 20), at(10, 26, 130)]
    tree = chain(aorta, rng.uniform(8, 10), rng.uniform(10.5, 13))
    tree.append(Tube(at(6, 12, 2), at(4, -10, -4), 4, 3.5))
    tree.append(Tube(at(4, -10, -4), at(-26, -14, 2), 3, 2.2))
    tree.append(Tube(at(6, 10, -8), at(4, -14, -60), 4, 3.2))
    canvas.paint(tubes(space, tree), tissue.aorta)
    canvas.paint(organs.cava, 0.5 * (tissue.veins + tissue.portal) + 5 * space.noise(12))
    portal = [at(2, -16, -70), at(-4, -8, -20), at(-26, -6, 2)]
    canvas.paint(tubes(space, chain(portal, 5, 6.5)), tissue.portal)
