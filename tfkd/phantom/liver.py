"""The liver: its shape, vessel trees, tumours, and what is mistaken for tumours."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tfkd.phantom.body import Trunk
from tfkd.phantom.neighbours import Organs
from tfkd.phantom.patient import Patient
from tfkd.phantom.shapes import Canvas, Tube, carve, ellipsoid, meet, tubes, unite
from tfkd.phantom.space import Space

__all__ = ["paint_gallbladder", "paint_liver", "place_liver"]


def place_liver(
    space: Space, trunk: Trunk, organs: Organs, patient: Patient, rng: np.random.Generator
) -> np.ndarray:
    """Shape the liver between the diaphragm, the wall and its neighbours.

    Args:
        space: Patient coordinates.
        trunk: The cavity and the dome.
        organs: The neighbours, which the liver touches or leaves a thin line of fat to.
        patient: Build.
        rng: Source of the variation.

    Returns:
        Distance in mm, negative in the liver.
    """
    sx, sy, sz = patient.size
    grow = rng.uniform(0.92, 1.1)
    right = ellipsoid(
        space, (-60 * sx, -8 * sy, 8 * sz), (72 * sx * grow, 84 * sy, 92 * sz * grow), 0.1
    )
    reach = rng.uniform(48, 88)  # how far the left lobe crosses the midline
    left = ellipsoid(space, (-6 * sx, -52 * sy, 30 * sz), (reach * sx, 36 * sy, 46 * sz), -0.22)
    caudate = ellipsoid(space, (-14 * sx, -4 * sy, 22 * sz), (17 * sx, 17 * sy, 28 * sz))
    liver = unite(unite(right, left, 22), caudate, 8) + 2.2 * space.noise(24)
    # The visceral surface climbs from the right lower edge to the left.
    floor = rng.uniform(-95, -72) * sz + (space.x + 115 * sx) * np.float32(rng.uniform(0.5, 0.68))
    floor = floor + 0.22 * (space.y + 40 * sy) + 4 * space.noise(30)
    liver = meet(liver, (floor - space.z) * 0.8, 10)
    liver = meet(liver, trunk.cavity + rng.uniform(1.5, 4), 5)
    liver = meet(liver, trunk.diaphragm + 3.2, 4)
    liver = carve(liver, trunk.spine, 2, 8)
    liver = carve(liver, organs.kidneys, rng.uniform(1, 5), 8)
    liver = carve(liver, organs.stomach, rng.uniform(0, 2), 5)
    liver = carve(liver, organs.spleen, 1, 5)
    liver = carve(liver, organs.cava, 0, 3)
    liver = carve(liver, organs.gallbladder, 0.5, 3)
    return _largest_part(carve(liver, _fissure(space, patient, rng), 0, 4))


def _largest_part(distance: np.ndarray) -> np.ndarray:
    """Take away the crumbs that the carving leaves behind the kidney or beside the spine."""
    parts, count = ndimage.label(distance < 0)
    if count > 1:
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        crumbs = (parts > 0) & (parts != sizes.argmax())
        distance[crumbs] = 5.0
    return distance


def _fissure(space: Space, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Fat in the fissure of the round ligament, between the lobes, and at the porta."""
    scale = np.array(patient.size)
    x = rng.uniform(-8, 10)
    parts = [
        Tube(np.array((x, -98, -28)) * scale, np.array((x - 6, -46, 6)) * scale, 6, 2.5),
        Tube(np.array((x, -98, -55)) * scale, np.array((x - 4, -60, -20)) * scale, 9, 5),
        Tube(np.array((-2, -12, -6)) * scale, np.array((-30, -12, 2)) * scale, 9, 6),
    ]
    return tubes(space, parts, 12)


def paint_liver(
    canvas: Canvas, space: Space, liver: np.ndarray, patient: Patient, rng: np.random.Generator
) -> None:
    """Paint the parenchyma, its vessel trees and often some focal fat.

    Args:
        canvas: Painted on.
        space: Patient coordinates.
        liver: Distance to the liver.
        patient: Build and tissue values.
        rng: Source of the variation.
    """
    tissue = patient.tissue
    texture = 1.8 * space.noise(5) + 2.0 * space.noise(25)
    canvas.paint(liver, tissue.liver + texture)
    if rng.random() < 0.45:
        # Fat beside the round ligament is dark like a tumour and is none.
        scale = np.array(patient.size)
        centre = np.array((rng.uniform(-14, 12), -70, rng.uniform(0, 25))) * scale
        spot = ellipsoid(space, centre, (9, 14, 12), rng.uniform(-0.5, 0.5)) + space.noise(8)
        canvas.paint(meet(spot, liver, 1), tissue.liver - rng.uniform(15, 35), edge_mm=6)
    portal, hepatic = _vessel_trees(patient, rng)
    inside = np.clip(0.5 - (liver + 1.5) / 3, 0, 1)
    for tree, hu in ((portal, tissue.portal), (hepatic, tissue.veins)):
        distance = tubes(space, tree)
        target = tissue.liver + 0.85 * (hu - tissue.liver)
        share = np.clip(0.5 - distance / space.pixel_mm, 0, 1) * inside
        canvas.hu += share * (target - canvas.hu)


def _vessel_trees(patient: Patient, rng: np.random.Generator) -> tuple[list[Tube], list[Tube]]:
    def at(x: float, y: float, z: float) -> np.ndarray:
        return patient.point((x, y, z), rng)

    portal: list[Tube] = []
    hepatic: list[Tube] = []
    hilum, cava = at(-28, -8, 4), at(-20, 0, 66)
    for aim, radius, depth in (
        (at(-70, 10, 10), 5.5, 5),
        (at(-66, -30, 18), 4.5, 5),
        (at(6, -48, 28), 4.5, 4),
    ):
        _grow(portal, hilum, aim - hilum, radius, depth, rng)
    for aim, depth in ((at(-85, 20, 30), 4), (at(-62, -40, 34), 4), (at(10, -48, 48), 4)):
        _grow(hepatic, cava, (aim - cava) * 0.55, rng.uniform(4.5, 6), depth, rng)
    return portal, hepatic


def _grow(
    tree: list[Tube],
    start: np.ndarray,
    run: np.ndarray,
    radius: float,
    depth: int,
    rng: np.random.Generator,
) -> None:
    """Add a branch and, one size thinner, the two that it splits into."""
    thinner = 0.72 * radius
    end = start + run
    tree.append(Tube(start, end, radius, thinner))
    if depth == 0 or thinner < 0.9:
        return
    length = float(np.linalg.norm(run))
    side = rng.normal(size=3)
    side -= (side @ run) / length**2 * run
    side *= length / np.linalg.norm(side)
    for sign in (-1.0, 1.0):
        bend = sign * rng.uniform(0.3, 0.8)
        child = (run + bend * side) / np.sqrt(1 + bend * bend) * rng.uniform(0.6, 0.85)
        _grow(tree, end, child, thinner, depth - 1, rng)


def paint_gallbladder(
    canvas: Canvas, organs: Organs, patient: Patient, rng: np.random.Generator
) -> None:
    """Paint the gallbladder: dark, round, in the liver's edge, and no tumour.

    Args:
        canvas: Painted on.
        organs: Where it lies.
        patient: Tissue values.
        rng: Source of the variation.
    """
    canvas.paint(organs.gallbladder, patient.tissue.wall)
    canvas.paint(organs.gallbladder + 1.8, rng.uniform(2, 22))
