"""Packs the training slices of records for a machine without TensorFlow.

    python benchmarks/quality/gpu/pack.py runs/records/abdomen256_few runs/packed/abdomen256_few

`train.npz` holds `image_hu` (n, H, W, C) int16, clipped a little outside of the window, and `mask`
(n, H, W) uint8, 255 where there is no label, `variation`, the ranges in which slices are varied
(JSON), and `records`, by which they are told from others; `manifest.json` is that of the records.
"""

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tfkd import records
from tfkd.comparison.runs.job import records_identity
from tfkd.records.augmentation import AUGMENTATIONS, Augmentation
from tfkd.volumes import atomic_path


def clip_range_hu(window_hu: tuple[float, float], variation: Augmentation) -> tuple[int, int]:
    """HU from outside of which no variation brings a pixel into the window; without them it packs
    well. Where a slice is moved by part of a pixel, edges against air are a little softer."""
    low, high = window_hu
    reach = (high - low) / 2 / variation.contrast[0]
    reach += variation.intensity_shift_hu / variation.contrast[0]
    middle = (low + high) / 2
    return math.floor(middle - reach), math.ceil(middle + reach)


def pack(source: Path, folder: Path) -> Path:
    """Writes `train.npz` and `manifest.json`.

    Args:
        source: Records, as `tfkd prepare` makes them.
        folder: Folder to write.

    Returns:
        Path of `train.npz`.
    """
    data = records.load(source)
    variation = AUGMENTATIONS[data.manifest.protocol.variation]
    clip = clip_range_hu(data.spec.window_hu, variation)
    # By place: shards come in an order of their own.
    slices = {(one.case_id, one.slice_index): one for one in data.examples("train")}
    places = slice_places(data.manifest)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "train.npz"
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            image_hu=np.stack([slices[one].image_hu.clip(*clip) for one in places]).astype("int16"),
            mask=np.stack([slices[one].mask for one in places]).astype("uint8"),
            variation=json.dumps(asdict(variation)),
            records=records_identity(data.manifest),
        )
    data.manifest.save(folder)
    return path


def slice_places(manifest: records.Manifest) -> list[tuple[str, int]]:
    """Case and slice of each row of `train.npz`, in their order."""
    return [
        (case.case_id, index) for case in manifest.cases_of("train") for index in range(case.slices)
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("records", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    written = pack(arguments.records, arguments.out)
    print(f"{written}: {written.stat().st_size / 2**20:.1f} MiB")
