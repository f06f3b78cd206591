"""One phantom patient, from the random numbers to the CT and its mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfkd.phantom.body import paint_chest, paint_trunk
from tfkd.phantom.bones import paint_bones
from tfkd.phantom.lesions import Lesion, paint_lesions
from tfkd.phantom.liver import paint_gallbladder, paint_liver, place_liver
from tfkd.phantom.neighbours import place_organs
from tfkd.phantom.organs import paint_organs
from tfkd.phantom.patient import Patient, draw_patient
from tfkd.phantom.scanner import AIR_HU, paint_table, scan
from tfkd.phantom.shapes import Canvas
from tfkd.phantom.space import Space

__all__ = ["PhantomCase", "make_case"]

WARP_MM = 7.0


@dataclass(frozen=True, eq=False)
class PhantomCase:
    """A phantom CT with its truth.

    Attributes:
        image_hu: ``(Z, Y, X)`` int16, canonical LPS+.
        labels: uint8 of the same shape: 0 background, 1 liver, 2 tumour.
        patient: What was drawn.
        lesions: Tumours and cysts in the liver.
    """

    image_hu: np.ndarray
    labels: np.ndarray
    patient: Patient
    lesions: list[Lesion]


def make_case(seed: int, index: int, shape_zyx: tuple[int, int, int]) -> PhantomCase:
    """Make the phantom patient of a number; the same arguments give the same voxels.

    Args:
        seed: Seed of the cohort.
        index: Number of the patient.
        shape_zyx: Typical number of slices, rows, columns.

    Returns:
        The CT and its truth.
    """
    rng = np.random.default_rng([seed, index, 1])
    patient = draw_patient(seed, index, shape_zyx, rng)
    space = Space.create(patient.shape_zyx, patient.spacing_mm, patient.centre_z_mm, WARP_MM, rng)
    canvas = Canvas(space, AIR_HU)
    trunk = paint_trunk(canvas, space, patient, rng)
    organs = place_organs(space, trunk, patient, rng)
    liver = place_liver(space, trunk, organs, patient, rng)
    paint_organs(canvas, space, trunk, organs, patient, rng)
    paint_liver(canvas, space, liver, patient, rng)
    paint_gallbladder(canvas, organs, patient, rng)
    labels = (liver < 0).astype(np.uint8)
    lesions = paint_lesions(canvas, labels, space, liver, patient, rng)
    paint_chest(canvas, space, trunk, patient, rng)
    paint_bones(canvas, space, trunk, patient, rng)
    paint_table(canvas, space, trunk, rng)
    return PhantomCase(scan(canvas, space, trunk, patient, rng), labels, patient, lesions)
