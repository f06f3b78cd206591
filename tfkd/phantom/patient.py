"""What differs from patient to patient: build, scan, contrast phase and tissue values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Patient", "Tissue", "draw_patient"]

PATIENTS_PER_HEALTHY_ONE = 8  # 12.5 % without a tumour; LiTS17 has 13 of 131
MAX_TUMOURS = 4

# Typical HU of the four phases of contrast medium. `veins` are the hepatic ones, which fill last.
_PHASES = {
    #            liver spleen cortex medulla aorta portal veins muscle pancreas wall
    "plain": (56, 48, 34, 31, 42, 40, 38, 54, 40, 38),
    "arterial": (74, 112, 185, 85, 290, 100, 58, 60, 98, 70),
    "portal": (108, 120, 195, 170, 160, 172, 162, 63, 92, 78),
    "late": (92, 98, 155, 150, 118, 120, 116, 62, 78, 66),
}
_PHASE_SHARES = {"plain": 0.08, "arterial": 0.2, "portal": 0.57, "late": 0.15}


@dataclass(frozen=True)
class Tissue:
    """HU of the tissues of one patient in one phase."""

    liver: float
    spleen: float
    cortex: float
    medulla: float
    aorta: float
    portal: float
    veins: float
    muscle: float
    pancreas: float
    wall: float
    fat: float
    bone: float


@dataclass(frozen=True)
class Patient:
    """One drawn patient and scan.

    Attributes:
        shape_zyx: Slices, rows, columns.
        spacing_mm: Distances of voxel centres, z, y, x.
        centre_z_mm: Level of the middle slice, 0 being the liver's hilum.
        size: Factors on the nominal anatomy along x, y, z.
        fat_mm: Thickness of the fat under the skin.
        phase: Phase of the contrast medium.
        tissue: HU values.
        noise_hu: Standard deviation of the noise in the middle of the body.
        tumours: How many liver tumours are wanted, 0 to 4.
    """

    shape_zyx: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    centre_z_mm: float
    size: tuple[float, float, float]
    fat_mm: float
    phase: str
    tissue: Tissue
    noise_hu: float
    tumours: int

    def point(
        self, nominal_mm: tuple[float, float, float], rng: np.random.Generator, jitter_mm: float = 4
    ) -> np.ndarray:
        """A landmark of the nominal anatomy, moved at random, in this patient.

        Args:
            nominal_mm: Its place ``(x, y, z)`` in a patient of size 1.
            rng: Source of the move.
            jitter_mm: Largest move along each axis.

        Returns:
            Its coordinates in mm.
        """
        moved = np.array(nominal_mm) + rng.uniform(-jitter_mm, jitter_mm, 3)
        return moved * self.size


def draw_patient(
    seed: int, index: int, shape_zyx: tuple[int, int, int], rng: np.random.Generator
) -> Patient:
    """Draw a patient.

    Args:
        seed: Seed of the cohort; decides which one of each eight patients has no tumour.
        index: Number of the patient.
        shape_zyx: Typical number of slices, which varies by a quarter, and rows and columns.
        rng: Source of everything else.

    Returns:
        The patient.
    """
    size = (rng.uniform(0.92, 1.16), rng.uniform(0.88, 1.15), rng.uniform(0.9, 1.1))
    fat = float(np.clip(rng.lognormal(np.log(15), 0.5), 5, 36))
    slices = int(rng.integers(round(0.75 * shape_zyx[0]), round(1.25 * shape_zyx[0]) + 1))
    slice_mm = float(np.clip(rng.uniform(105, 160) * size[2] / slices, 2.0, 5.0))
    # Radiographers fit the field of view to the patient: 0.6 to 0.9 mm at 512 columns.
    width = 2 * (142 * size[0] + 1.15 * fat) * rng.uniform(1.03, 1.15)
    field_mm = 512 * float(np.clip(width / 512, 0.6, 0.9))
    spacing = (round(slice_mm, 1), field_mm / shape_zyx[1], field_mm / shape_zyx[2])
    phase = str(rng.choice(list(_PHASES), p=list(_PHASE_SHARES.values())))
    block = np.random.default_rng([seed, index // PATIENTS_PER_HEALTHY_ONE])
    healthy = block.integers(PATIENTS_PER_HEALTHY_ONE) == index % PATIENTS_PER_HEALTHY_ONE
    wanted = rng.choice([1, 2, 3, 4], p=[0.3, 0.3, 0.22, 0.18])
    return Patient(
        shape_zyx=(slices, *shape_zyx[1:]),
        spacing_mm=spacing,
        centre_z_mm=float(rng.uniform(-8, 18)),
        size=size,
        fat_mm=fat,
        phase=phase,
        tissue=_draw_tissue(phase, rng),
        noise_hu=float(rng.uniform(7, 14)),
        tumours=0 if healthy else int(wanted),
    )


def _draw_tissue(phase: str, rng: np.random.Generator) -> Tissue:
    typical = np.array(_PHASES[phase], float)
    # Timing and dose move the vessels and kidneys much, the parenchyma less.
    spread = np.array([0.08, 0.09, 0.15, 0.15, 0.15, 0.12, 0.1, 0.06, 0.12, 0.12])
    values = typical * (1 + spread * np.clip(rng.standard_normal(typical.size), -2, 2))
    if rng.random() < 0.15:
        values[0] = max(values[0] - rng.uniform(10, 28), 42)  # a fatty liver
    fat, bone = rng.uniform(-112, -92), rng.uniform(0.8, 1.2)
    hu = [float(value) for value in (*values, fat, bone)]
    return Tissue(*hu)
