"""A model file with its contract, and CT volumes in memory."""

import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd.export import to_litert
from tfkd.volumes import PreprocessSpec, Volume, canonical_affine

SPEC = PreprocessSpec(size=(32, 32))
NAMES = ("background", "soft", "bright")


def _grey_value_student() -> keras.Model:
    """Return a net whose logits are lines in the grey value v: 0, 4 v + 1 and 12 v - 5."""
    image = keras.Input((32, 32, 1))
    student = keras.Model(image, keras.layers.Conv2D(3, 1)(image), name="grey")
    student.set_weights([np.array([[[[0.0, 4.0, 12.0]]]]), np.array([0.0, 1.0, -5.0])])
    return student


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    student = _grey_value_student()
    values = np.linspace(-1, 1, 8 * 32 * 32, dtype=np.float32).reshape(8, 32, 32, 1)
    for quantization in ("float32", "int8"):
        to_litert(
            student,
            folder / f"{quantization}.tflite",
            quantization=quantization,
            calibration=values,
            spec=SPEC,
            label_names=NAMES,
        )
    return folder


@pytest.fixture
def model_path(exported: Path, tmp_path: Path) -> Path:
    """Return a float32 file with its contract, which the test may spoil."""
    for suffix in (".tflite", ".json"):
        shutil.copy(exported / f"float32{suffix}", tmp_path / f"student{suffix}")
    return tmp_path / "student.tflite"


@pytest.fixture(scope="session")
def make_ct() -> Callable[..., Volume]:
    def make(shape_zyx: tuple[int, int, int] = (5, 48, 40)) -> Volume:
        """Return air with a ball of 60 HU and a brighter core off the centre."""
        axes = [np.linspace(-1, 1, size) for size in shape_zyx]
        z, y, x = np.meshgrid(*axes, indexing="ij")
        array = np.full(shape_zyx, -1000, np.int16)
        array[z**2 / 4 + y**2 + x**2 < 0.7] = 50
        array[z**2 / 4 + (y + 0.2) ** 2 + (x - 0.3) ** 2 < 0.1] = 130
        return Volume(array, canonical_affine((5.0, 0.8, 0.9)), "ball")

    return make
