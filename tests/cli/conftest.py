"""A tiny cohort in LiTS17 layout, and what the verbs make of it with networks made by hand."""

import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import nibabel as nib
import numpy as np
import pytest

from tfkd.cli.main import main

PATIENTS = 5
SIZE = 32
AFFINE = np.diag([-1.5, -1.5, 3.0, 1.0])

Words = list[str | Path]


def _save(path: Path, array_xyz: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(array_xyz, affine), path)
    return path


def _write_patient(folder: Path, number: int) -> None:
    """8 slices of 32 × 32: a liver in five of them, a tumour in two."""
    mask = np.zeros((SIZE, SIZE, 8), np.uint8)
    mask[8:24, 8:26, 2:7] = 1
    mask[12:18, 12:18, 3:5] = 2
    image = np.random.default_rng(number).normal(-100, 10, mask.shape)
    image[mask == 1] += 160
    image[mask == 2] += 120
    _save(folder / f"volume-{number}.nii.gz", np.rint(image).astype(np.int16))
    _save(folder / f"segmentation-{number}.nii.gz", mask)


def _network(classes: int = 3, taps: bool = True, size: int = SIZE) -> keras.Model:
    """Labels by grey value, and is right about it; the taps are there to be looked at only."""
    image = keras.Input((size, size, 1), name="image")
    low = keras.layers.Conv2D(2, 3, 2, padding="same", name="tap_low" if taps else "a")(image)
    high = keras.layers.Conv2D(2, 3, 4, padding="same", name="tap_high" if taps else "b")(low)
    deep = keras.layers.UpSampling2D(8, interpolation="bilinear", name="up")(high)
    both = keras.layers.Concatenate(name="both")([image, deep])
    model = keras.Model(image, keras.layers.Conv2D(classes, 1, name="logits")(both), name="tiny")
    kernel = np.zeros((1, 1, 3, classes), np.float32)
    # Lines in the grey value, highest in turn: 0 to 0 HU, the tumour's to 40 HU, then the liver's.
    kernel[0, 0, 0] = np.array([0.0, 8.0, 4.0])[:classes]
    bias = np.array([0.0, 1.6, 1.6], np.float32)[:classes]
    model.get_layer("logits").set_weights([kernel, bias])
    return model


@pytest.fixture(autouse=True)
def _short_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have asked for tracebacks."""
    monkeypatch.delenv("TFKD_TRACEBACK", raising=False)


@pytest.fixture(scope="session")
def save_nifti() -> Callable[..., Path]:
    return _save


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five patients; not to be written to."""
    folder = tmp_path_factory.mktemp("cli") / "lits"
    folder.mkdir()
    for number in range(PATIENTS):
        _write_patient(folder, number)
    return folder


@pytest.fixture
def own_cohort(cohort: Path, tmp_path: Path) -> Path:
    """The same five patients, to damage."""
    return Path(shutil.copytree(cohort, tmp_path / "lits"))


@pytest.fixture(scope="session")
def records(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of three training, one validation and one test patient."""
    folder = tmp_path_factory.mktemp("cli-records") / "lits"
    assert main(["prepare", str(cohort), str(folder), "--size", str(SIZE), str(SIZE)]) == 0
    return folder


@pytest.fixture(scope="session")
def make_network() -> Callable[..., keras.Model]:
    return _network


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of saved networks: one that fits the records, and some that do not."""
    folder = tmp_path_factory.mktemp("cli-models")
    _network().save(folder / "fitting.keras")
    _network(taps=False).save(folder / "no_taps.keras")
    _network(classes=2).save(folder / "two_classes.keras")
    _network(size=64).save(folder / "other_size.keras")
    (folder / "text.keras").write_text("no model\n")
    return folder


@pytest.fixture(scope="session")
def exported(models: Path, records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fitting network as a float32 file with its contract; not to be written to."""
    path = tmp_path_factory.mktemp("cli-export") / "student.tflite"
    words = ["export", str(models / "fitting.keras"), str(path), "-r", str(records)]
    assert main([*words, "--quantization", "float32"]) == 0
    return path


@pytest.fixture
def own_export(exported: Path, tmp_path: Path) -> Path:
    """The file and its contract, to spoil."""
    for suffix in (".tflite", ".json"):
        shutil.copy(exported.with_suffix(suffix), tmp_path / f"own{suffix}")
    return tmp_path / "own.tflite"


@pytest.fixture
def fail(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail with status 1 and one line, and returns that line."""

    def run(words: Words, *mentions: str | Path) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith(f"tfkd {words[0]}: error: ")
        for mention in mentions:
            assert str(mention) in lines[0]
        return lines[0]

    return run
