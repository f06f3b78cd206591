"""Training batches from a packed file, drawn and varied as the library does it, on any backend."""

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from tfkd.comparison.runs.job import records_identity
from tfkd.errors import RecordError
from tfkd.records import Manifest, Sampling
from tfkd.records.sampling import expected_copies
from tfkd.volumes import AIR_HU, IGNORE_LABEL, DataFacts, PreprocessSpec


class PackedSlices(keras.utils.PyDataset):
    """Batches of images (N, H, W, C) and masks (N, H, W) for `fit`.

    What an epoch holds depends on the seed and its number alone. The shares of the slices and the
    ranges of the variation are the library's; the random numbers are others.

    Args:
        folder: What `pack.py` wrote.
        batch_size: Slices per batch.
        steps: Batches per epoch.
        sampling: Shares of the classes, and of slices without labels.
        vary: Whether slices are varied.
        seed: Seed of order, sampling and variation.

    Raises:
        RecordError: If a file is missing, or the slices are not those of the manifest's records.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch_size: int,
        steps: int,
        sampling: Sampling,
        vary: bool,
        seed: int,
    ) -> None:
        # With one worker: Keras keeps what several have fetched ahead for an epoch too late.
        super().__init__()
        self.manifest = Manifest.load(folder)
        slices = _read(folder)
        if slices.records != records_identity(self.manifest):
            raise RecordError(
                f"{folder}: train.npz and manifest.json are of different records. Pack them again."
            )
        self._slices, self._varies = slices, vary
        self._batch_size, self._sampling, self._seed = batch_size, sampling, seed
        self.steps_per_epoch = steps
        self._epoch = 0
        self._order = self._draw_order()

    @property
    def spec(self) -> PreprocessSpec:
        """The preprocessing of the slices."""
        return self.manifest.spec

    @property
    def facts(self) -> DataFacts:
        """What a network learns from these slices; see `CTRecords.facts`."""
        return self.manifest.facts

    @property
    def num_classes(self) -> int:
        """Number of classes, the background included."""
        return self.manifest.num_classes

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __getitem__(self, step: int) -> tuple[Any, Any]:
        rows = self._order[step * self._batch_size : (step + 1) * self._batch_size]
        images = self._slices.image_hu[rows].astype("float32")
        masks = self._slices.mask[rows].astype("int32")
        if self._varies:
            # From 1 on: the numbers of an order end in 0, as far as NumPy's seeds go.
            generator = np.random.default_rng([self._seed, self._epoch, step + 1])
            drawn = draw_variation(generator, len(rows), self._slices.variation, self.spec)
            images, masks = vary(images, masks, drawn)
        return windowed(images, self.spec), masks

    def on_epoch_end(self) -> None:
        """Draws the next epoch."""
        self._epoch += 1
        self._order = self._draw_order()

    def _draw_order(self) -> np.ndarray:
        """Rows of an epoch's slices: each as often as is its due, give or take one."""
        generator = np.random.default_rng([self._seed, self._epoch])
        labels = [
            labels for case in self.manifest.cases_of("train") for labels in case.labels_per_slice
        ]
        total = self._batch_size * self.steps_per_epoch
        copies = expected_copies(labels, total + 1, self._sampling)  # rounding may lose one
        edges = np.floor(np.concatenate([[0.0], np.cumsum(copies)]) + generator.uniform())
        slices = np.repeat(np.arange(len(copies)), np.diff(edges).astype(int))
        return generator.permutation(slices)[:total]


@dataclass(frozen=True)
class _Slices:
    image_hu: np.ndarray
    mask: np.ndarray
    variation: dict[str, Any]
    records: str


@cache  # the runs of a plan read the same few
def _read(folder: Path) -> _Slices:
    path = folder / "train.npz"
    if not path.is_file():
        raise RecordError(
            f"{path} is missing. Expected a folder that benchmarks/quality/gpu/pack.py wrote."
        )
    with np.load(path) as arrays:
        texts = {name: str(arrays[name]) for name in ("variation", "records")}
        return _Slices(
            arrays["image_hu"], arrays["mask"], json.loads(texts["variation"]), texts["records"]
        )


def draw_variation(
    generator: np.random.Generator, count: int, ranges: dict[str, Any], spec: PreprocessSpec
) -> dict[str, np.ndarray]:
    """Draws how `count` slices are varied, from the fields of an `Augmentation`.

    Returns:
        `factor` and `offset_hu` (N, 1, 1, 1) of the HU, and `transform` (N, 8), from pixels of the
        result to pixels of the slice.

    Raises:
        ValueError: If slices are to be deformed elastically, which only the library does.
    """
    if ranges["elastic"]:
        raise ValueError(f"elastic: expected 0, received {ranges['elastic']}.")
    height, width = spec.input_shape[:2]

    def uniform(low: float, high: float) -> np.ndarray:
        return generator.uniform(low, high, count)

    def mirrored(name: str) -> np.ndarray:
        return np.where(ranges[name] & (uniform(0, 1) < 0.5), -1.0, 1.0)

    angle = uniform(-1, 1) * math.radians(ranges["rotation_degrees"])
    if ranges["quarter_turns"]:
        angle += np.floor(uniform(0, 4)) * math.pi / 2
    scale = uniform(*ranges["scale"])
    right, down = (uniform(-1, 1) * ranges["shift"] * length for length in (width, height))
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    mirror_x, mirror_y = mirrored("flip_left_right"), mirrored("flip_front_back")
    x_x, x_y, y_x, y_y = mirror_x * cos, mirror_x * sin, -mirror_y * sin, mirror_y * cos
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    from_x, from_y = middle_x + right, middle_y + down
    x_0 = middle_x - x_x * from_x - x_y * from_y
    y_0 = middle_y - y_x * from_x - y_y * from_y
    zero = np.zeros(count)
    factor = uniform(*ranges["contrast"])
    offset = sum(spec.window_hu) / 2 * (1 - factor)
    offset += uniform(-1, 1) * ranges["intensity_shift_hu"]
    transform = np.stack([x_x, x_y, x_0, y_x, y_y, y_0, zero, zero], axis=1)
    return {
        "transform": transform.astype("float32"),
        "factor": factor.astype("float32")[:, None, None, None],
        "offset_hu": offset.astype("float32")[:, None, None, None],
    }


def vary(images: Any, masks: Any, drawn: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """Moves images in HU bilinearly and masks by their nearest pixel; outside is air.

    The air around a slice is background, unless the slice has no labels at all.
    """
    images = ops.image.affine_transform(
        images * drawn["factor"] + drawn["offset_hu"],
        drawn["transform"],
        interpolation="bilinear",
        fill_mode="constant",
        fill_value=float(AIR_HU),
    )
    moved = ops.image.affine_transform(
        ops.cast(masks, "float32")[..., None],
        drawn["transform"],
        interpolation="nearest",
        fill_mode="constant",
        fill_value=0.0,
    )
    unlabelled = ops.all(ops.equal(masks, IGNORE_LABEL), axis=(1, 2), keepdims=True)
    return images, ops.where(unlabelled, IGNORE_LABEL, ops.cast(moved[..., 0], "int32"))


def windowed(images_hu: Any, spec: PreprocessSpec) -> Any:
    """`tfkd.volumes.window`, on the backend."""
    (low, high), (bottom, top) = spec.window_hu, spec.output_range
    return (ops.clip(images_hu, low, high) - low) * ((top - bottom) / (high - low)) + bottom
