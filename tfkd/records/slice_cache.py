"""Arrays that were computed once for each training slice, and lie beside the records."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.errors import RecordError
from tfkd.files import parse_json
from tfkd.records.manifest import MANIFEST_NAME, Manifest
from tfkd.volumes import atomic_path, sha256_of

__all__ = [
    "CACHE_NAME",
    "UNFINISHED_NAME",
    "CacheShard",
    "CachedArray",
    "SliceCache",
    "encode_arrays",
]

CACHE_NAME = "cache.json"
UNFINISHED_NAME = "cache.unfinished.json"
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class CachedArray:
    """What is kept of an array for each slice.

    Args:
        shape: Its shape, without the slices' axis. Rank 3 is a map (h, w, c), which moves with the
            slice; a lower one a fact, which does not.
        dtype: ``"float16"`` for a map, ``"uint8"`` for a map of labels (h, w, 1), ``"float32"`` for
            a fact.
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class CacheShard:
    """One TFRecord file of the cache: a record for each one of the data's shard of that name.

    Args:
        file: Name of the file in the cache's folder.
        size_bytes: Its size.
        sha256: Its checksum.
    """

    file: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class SliceCache:
    """All facts about a cache; saved as ``cache.json`` in its folder.

    Args:
        folder: The folder.
        key: What the arrays were computed from; any JSON.
        manifest_sha256: Checksum of the ``manifest.json`` of the records.
        arrays: What is kept, by name.
        shards: The files, in the order of the records' training shards.
    """

    folder: Path
    key: dict[str, Any]
    manifest_sha256: str
    arrays: dict[str, CachedArray]
    shards: tuple[CacheShard, ...]

    def decode(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes records (N,) string inside a `tf.data` pipeline.

        Returns:
            Arrays (N, ...) by name, float32; maps of labels int32.
        """
        features = {name: tf.io.FixedLenFeature([], tf.string) for name in self.arrays}
        parsed = tf.io.parse_example(records, features)
        count = records.shape[0] or -1
        return {
            name: tf.cast(
                tf.reshape(
                    tf.io.decode_raw(parsed[name], array.dtype, little_endian=True),
                    (count, *array.shape),
                ),
                tf.int32 if array.dtype == "uint8" else tf.float32,
            )
            for name, array in self.arrays.items()
        }

    def check(self, data_folder: Path, manifest: Manifest, verify: bool = False) -> None:
        """Raises a `RecordError` unless the cache is whole and belongs to these records.

        Args:
            data_folder: The records folder.
            manifest: Its manifest.
            verify: Whether to compare every shard's checksum (reads all of them once).
        """
        found = sha256_of(data_folder / MANIFEST_NAME)
        if self.manifest_sha256 != found:
            raise RecordError(
                f"{self.folder}: a slice cache of other records. Expected it to be written for "
                f"{data_folder / MANIFEST_NAME} with SHA-256 {found}, received one for "
                f"{self.manifest_sha256}. Write a cache for these records into another folder."
            )
        expected = [shard.file for shard in manifest.shards_of("train")]
        if [shard.file for shard in self.shards] != expected:
            raise RecordError(
                f"{self.folder / CACHE_NAME}: expected the shards {', '.join(expected)}, received "
                f"{', '.join(shard.file for shard in self.shards)}. Remove the folder and write "
                f"the cache again."
            )
        for shard in self.shards:
            path = self.folder / shard.file
            size = path.stat().st_size if path.is_file() else 0
            if size != shard.size_bytes:
                raise RecordError(
                    f"{path} is missing or damaged: expected {shard.size_bytes} bytes, received "
                    f"{size}. Copy it again, or remove the folder and write the cache again."
                )
            if verify and sha256_of(path) != shard.sha256:
                raise RecordError(
                    f"{path} is damaged: its SHA-256 is not that of {CACHE_NAME}. Copy it again, "
                    f"or remove the folder and write the cache again."
                )

    def save(self, name: str = CACHE_NAME) -> None:
        """Writes the facts into the folder."""
        facts = {"schema_version": _SCHEMA_VERSION} | asdict(self)
        del facts["folder"]
        with atomic_path(self.folder / name) as path:
            path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path, name: str = CACHE_NAME) -> "SliceCache":
        """Reads the facts; `check` tells whether the files are there.

        Raises:
            RecordError: If they are missing, damaged or of another version.
        """
        path = Path(folder).absolute() / name
        if not path.is_file():
            started = (
                " It was begun: finish it." if (path.parent / UNFINISHED_NAME).exists() else ""
            )
            raise RecordError(
                f"{path} is missing. Expected a folder that `write_slice_cache` has finished."
                f"{started}"
            )
        try:
            facts = parse_json(path.read_bytes())
            if facts["schema_version"] != _SCHEMA_VERSION:
                raise RecordError(
                    f"{path}: expected schema version {_SCHEMA_VERSION}, received "
                    f"{facts['schema_version']!r}. Remove the folder and write the cache again."
                )
            return cls(
                folder=path.parent,
                key=facts["key"],
                manifest_sha256=facts["manifest_sha256"],
                arrays={
                    name: CachedArray(tuple(array["shape"]), array["dtype"])
                    for name, array in facts["arrays"].items()
                },
                shards=tuple(CacheShard(**shard) for shard in facts["shards"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(
                f"{path}: not the facts of a slice cache ({type(error).__name__}: {error}). "
                f"Remove the folder and write the cache again."
            ) from error


def encode_arrays(arrays: dict[str, np.ndarray]) -> list[bytes]:
    """Encodes arrays (N, ...), little-endian, as N records that `SliceCache.decode` can read."""
    records = []
    for row in zip(*arrays.values(), strict=True):
        feature = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[array.tobytes()]))
            for name, array in zip(arrays, row, strict=True)
        }
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        records.append(example.SerializeToString(deterministic=True))
    return records
