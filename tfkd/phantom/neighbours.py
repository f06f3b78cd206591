"""The organs that the liver lies against, placed before it is shaped around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfkd.phantom.body import Trunk
from tfkd.phantom.patient import Patient
from tfkd.phantom.shapes import FAR_MM, carve, chain, ellipsoid, meet, tubes, unite
from tfkd.phantom.space import Space

__all__ = ["Organs", "place_organs"]


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
    grow = scale * rng.uniform(0.9, 1.1, 3)
    right = ellipsoid(space, patient.point((-62, 36, -48), rng, 6), grow * (30, 25, 54), 0.5)
    left = ellipsoid(space, patient.point((64, 36, -36), rng, 6), grow * (30, 25, 55), -0.5)
    kidneys = np.minimum(right, left) + 1.2 * space.noise(15)
    under = meet(trunk.cavity + 1, trunk.diaphragm + 3, 4)
    radii = scale * rng.uniform(0.8, 1.2) * (27, 44, 46)
    spleen = ellipsoid(space, patient.point((101, 28, 38), rng, 6), radii, -0.35)
    spleen = meet(spleen + 1.5 * space.noise(18), under + 1, 6)
    spleen = carve(spleen, left, 4, 8)
    stomach = meet(carve(_stomach(space, patient, rng), spleen, 1), under, 4)
    stops = [(-21, 18, -110), (-21, 18, -40), (-21, 18, 10), (-22, 6, 60), (-14, -8, 95)]
    path = [patient.point(stop, rng, 2) for stop in stops]
    cava = tubes(space, chain(path, rng.uniform(9, 11), rng.uniform(10, 14)), 30)
    return Organs(kidneys, stomach, spleen, cava, _gallbladder(space, patient, rng))


def _stomach(space: Space, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    full = np.array(patient.size) * rng.uniform(0.85, 1.3)
    fundus = ellipsoid(space, patient.point((62, 8, 56), rng), full * (34, 34, 34))
    corpus = ellipsoid(space, patient.point((58, -32, 24), rng), full * (31, 30, 42))
    antrum = ellipsoid(space, patient.point((24, -54, -8), rng), full * (40, 19, 19))
    return unite(unite(fundus, corpus, 25), antrum, 18) + 2 * space.noise(16)


def _gallbladder(space: Space, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.12:  # taken out in an operation
        return np.full(space.shape, FAR_MM, np.float32)
    neck, fundus = patient.point((-42, -20, -2), rng), patient.point((-46, -50, -30), rng, 9)
    return tubes(space, chain([neck, fundus], 7, rng.uniform(9, 17)), 30) + space.noise(14)
