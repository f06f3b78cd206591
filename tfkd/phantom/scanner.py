"""What the scanner adds: blur, slice averaging, correlated noise, streaks, the table."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tfkd.phantom.body import Trunk
from tfkd.phantom.patient import Patient
from tfkd.phantom.shapes import Canvas
from tfkd.phantom.space import Space

__all__ = ["paint_table", "scan"]

AIR_HU = -1000.0


def paint_table(canvas: Canvas, space: Space, trunk: Trunk, rng: np.random.Generator) -> None:
    """Paint the curved couch under the patient.

    Args:
        canvas: Painted on.
        space: Patient coordinates; the couch ignores their warp.
        trunk: The body, which the couch must not cut.
        rng: Source of its height.
    """
    _, y, x = space.axes_mm
    rows = np.flatnonzero((trunk.skin < 0).any(axis=(0, 2)))
    back = float(y[rows[-1]]) + rng.uniform(3, 6)
    height = y[:, None] - back + (x[None, :] / 38) ** 2
    shell = np.abs(np.abs(height - 8) - 8) - 1.8
    couch = np.broadcast_to(shell, space.shape)
    canvas.paint(np.maximum(couch, 2 - trunk.skin), -40)


def scan(
    canvas: Canvas, space: Space, trunk: Trunk, patient: Patient, rng: np.random.Generator
) -> np.ndarray:
    """Turn the painted tissues into a CT.

    Args:
        canvas: The tissues.
        space: The voxel grid.
        trunk: The body, for the noise that grows with depth.
        patient: Noise level.
        rng: Source of the noise.

    Returns:
        ``(Z, Y, X)`` int16 HU.
    """
    hu = ndimage.gaussian_filter(canvas.hu, (0.4, 0.45, 0.45), mode="nearest", truncate=3)
    # Rays through the middle lose most photons; flat bodies are noisier along x.
    depth = np.clip(-trunk.skin / 90, 0, 1)
    level = np.float32(patient.noise_hu) * (0.55 + 0.45 * depth)
    hu += level * _grain(space.shape, rng)
    hu += np.float32(0.35) * level * depth * _streaks(space.shape, rng)
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def _grain(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise without the lowest frequencies, as filtered back-projection leaves it."""
    white = rng.standard_normal(shape, dtype=np.float32)
    fine = ndimage.gaussian_filter(white, (0.3, 0.6, 0.6), truncate=3)
    fine -= 0.6 * ndimage.uniform_filter(fine, (1, 5, 5))
    return fine / fine.std()


def _streaks(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    white = rng.standard_normal(shape, dtype=np.float32)
    white = ndimage.uniform_filter1d(white, max(shape[2] // 7, 2), axis=2)
    return white / white.std()
