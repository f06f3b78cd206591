"""Shards in TFDS naming, made of the finished cases, and the two files TFDS wants beside them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfkd.records.manifest import CaseRecord, Manifest, Shard

__all__ = ["MIN_SHARDS", "plan_shards", "write_shards", "write_tfds_metadata"]

# Fewer shards could not be spread over several workers, nor read interleaved.
MIN_SHARDS = 8

_FEATURES = "tensorflow_datasets.core.features"


def plan_shards(sizes: Sequence[int], shard_bytes: int) -> list[list[int]]:
    """Cuts a sequence of cases into shards of about equal size, keeping their order.

    Args:
        sizes: Bytes of every case.
        shard_bytes: Bytes a shard should have at most (a case is never cut).

    Returns:
        The case positions of every shard; `MIN_SHARDS` shards or more if there are the cases.
    """
    total = sum(sizes)
    count = min(len(sizes), max(MIN_SHARDS, -(-total // shard_bytes)))
    shards: dict[int, list[int]] = {}
    before = 0
    for position, size in enumerate(sizes):
        middle = before + size / 2
        shards.setdefault(min(int(middle / total * count), count - 1), []).append(position)
        before += size
    return [shards[number] for number in sorted(shards)]


def write_shards(
    folder: Path,
    dataset: str,
    split: str,
    cases: Sequence[tuple[CaseRecord, Path]],
    shard_bytes: int,
) -> list[Shard]:
    """Writes the shards of a split by appending case files: TFRecords concatenate byte by byte.

    Args:
        folder: Where to write.
        dataset: Name of the dataset.
        split: Name of the split.
        cases: The cases of the split and their TFRecord files; may be empty.
        shard_bytes: Bytes a shard should have at most.

    Returns:
        The manifest's entries.
    """
    plan = plan_shards([path.stat().st_size for _, path in cases], shard_bytes)
    shards = []
    for number, positions in enumerate(plan):
        file = f"{dataset}-{split}.tfrecord-{number:05d}-of-{len(plan):05d}"
        members = [cases[position] for position in positions]
        size, sha256 = _concatenate([path for _, path in members], folder / file)
        shards.append(
            Shard(
                file=file,
                split=split,
                case_ids=tuple(case.case_id for case, _ in members),
                records=sum(case.slices for case, _ in members),
                size_bytes=size,
                sha256=sha256,
            )
        )
    return shards


def _concatenate(parts: Sequence[Path], target: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with target.open("wb") as out:
        for path in parts:
            with path.open("rb") as part:
                while chunk := part.read(1 << 20):
                    digest.update(chunk)
                    size += out.write(chunk)
    return size, digest.hexdigest()


def _image_feature(shape: tuple[int, int, int], dtype: str) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_FEATURES}.image_feature.Image",
        "image": {
            "shape": {"dimensions": [str(size) for size in shape]},
            "dtype": dtype,
            "encodingFormat": "png",
        },
    }


def _tensor_feature(shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_FEATURES}.tensor_feature.Tensor",
        "tensor": {
            "shape": {"dimensions": [str(size) for size in shape]},
            "dtype": dtype,
            "encoding": "none",
        },
    }


def write_tfds_metadata(folder: Path, manifest: Manifest) -> None:
    """Writes ``features.json`` and ``dataset_info.json``, for `tfds.builder_from_directory`.

    Args:
        folder: The records folder.
        manifest: Its manifest.
    """
    height, width, channels = manifest.spec.input_shape
    features = {
        "image": _image_feature((channels * height, width, 1), "uint16"),
        "segmentation": _image_feature((height, width, 1), "uint8"),
        "case_id": {"pythonClassName": f"{_FEATURES}.text_feature.Text", "text": {}},
        "slice_index": _tensor_feature((), "int64"),
        "spacing_mm": _tensor_feature((3,), "float32"),
        "labels_present": _tensor_feature((manifest.num_classes,), "int64"),
    }
    described = {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }
    splits = [
        {
            "name": split,
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "shardLengths": [str(shard.records) for shard in manifest.shards_of(split)],
            "numBytes": str(sum(shard.size_bytes for shard in manifest.shards_of(split))),
        }
        for split, cases in manifest.splits.items()
        if cases
    ]
    info = {
        "name": manifest.name,
        "version": "1.0.0",
        "fileFormat": "tfrecord",
        "description": (
            f"CT slices with labels {', '.join(manifest.label_names)}. The image is HU + 1024; "
            f"its {channels} channel(s) lie one below the other. See manifest.json."
        ),
        "splits": splits,
    }
    for name, content in (("features.json", described), ("dataset_info.json", info)):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
