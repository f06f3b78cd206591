"""Computes arrays for every training slice once, and keeps them beside the records."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfkd.errors import RecordError
from tfkd.records.case_ids import decode_case_ids
from tfkd.records.encoding import decode_batch
from tfkd.records.folder_lock import folder_lock
from tfkd.records.manifest import MANIFEST_NAME, Shard
from tfkd.records.preparation import Progress
from tfkd.records.reader import CTRecords, naming_damage
from tfkd.records.slice_cache import (
    CACHE_NAME,
    UNFINISHED_NAME,
    CachedArray,
    CacheShard,
    SliceCache,
    encode_arrays,
)
from tfkd.volumes import sha256_of, window

__all__ = ["Compute", "write_slice_cache"]

Compute = Callable[[np.ndarray, np.ndarray, list[str], np.ndarray], Mapping[str, np.ndarray]]

_RECORD_FRAME_BYTES = 16  # around each record of a TFRecord file: its length and two checksums


class _Batch(NamedTuple):
    """Slices of one shard as `compute` gets them."""

    image: np.ndarray
    mask: np.ndarray
    case_ids: list[str]
    slice_index: np.ndarray


def write_slice_cache(
    data: CTRecords,
    folder: str | Path,
    compute: Compute,
    *,
    key: Mapping[str, Any],
    batch_size: int = 8,
    progress: Progress | None = None,
) -> Path:
    """Runs `compute` over every training slice and keeps what it returns, for `with_cache`.

    The slices come in the order of the records, unvaried, each once. An array of rank 3 per slice
    (h, w, c) is a *map*, kept as float16, or a *map of labels* where it is uint8 (h, w, 1), kept
    and moved as a mask is; one of lower rank is a *fact*, kept as float32. A run that
    was interrupted is continued by calling again: finished shards are kept as long as `key` and
    the records are the same, otherwise it starts over. ``cache.json`` appears when all is done.
    Of several processes that write to one folder, the others wait for the first and take its work.

    Args:
        data: The records.
        folder: Where to write; made when missing. Not the folder of the records.
        compute: Called with image float32 (N, H, W, C) in `spec.output_range`, mask int32
            (N, H, W), the N case ids and slice_index int32 (N,); returns arrays (N, ...) by name,
            of the same names and shapes each time. N may be smaller at the end of a shard.
        key: What the result depends on (the teacher's checksum, the losses, ...), as JSON values.
        batch_size: Slices per call.
        progress: Called as ``progress(done, total, text)`` with numbers of slices after each call;
            the text names the case and tells the size of the whole cache.

    Returns:
        The folder. If it holds the finished cache of this key and these records, nothing is done.

    Raises:
        RecordError: If the training split is empty, the folder holds a finished cache of something
            else, a shard of the records is damaged, the disk has not room enough, arrays change
            their names or shapes, or a value is not finite (for a map: in float16, whose largest
            value is 65504); names the array and the case.
        ValueError: If `batch_size` is not positive.

    Example:
        >>> def compute(image, mask, case_ids, slice_index):
        ...     return {"logits": teacher.predict_on_batch(image)}
        >>> folder = write_slice_cache(  # doctest: +SKIP
        ...     data, "records/lits17-teacher", compute, key={"teacher": sha256}
        ... )
        >>> data = data.with_cache(folder)  # doctest: +SKIP
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected a positive number, received {batch_size}.")
    data.manifest.cases_of("train")
    folder = Path(folder).absolute()
    if folder == data.folder.absolute():
        raise RecordError(
            f"{folder}: expected a folder for the slice cache alone, received that of the records, "
            f"whose shards it would replace. Choose another one, e.g. one inside of it."
        )
    facts = json.loads(json.dumps(dict(key)))
    new = SliceCache(folder, facts, sha256_of(data.folder / MANIFEST_NAME), {}, ())
    if not _is_finished(new):
        with folder_lock(folder):
            if not _is_finished(new):  # by the process that this one has waited for
                _write(data, _begin(new), compute, batch_size, progress)
    return folder


def _write(
    data: CTRecords,
    cache: SliceCache,
    compute: Compute,
    batch_size: int,
    progress: Progress | None,
) -> None:
    """Writes the shards that the cache has not yet, and its facts."""
    shards = data.manifest.shards_of("train")
    done = sum(shard.records for shard in shards[: len(cache.shards)])
    total = data.manifest.slices_of("train")
    slice_bytes = 0
    for shard in shards[len(cache.shards) :]:
        path = cache.folder / shard.file
        partial = path.with_name(f"{path.name}.partial")
        with tf.io.TFRecordWriter(str(partial)) as writer:
            for batch in _batches(data, shard, batch_size):
                stored = _storable(compute(*batch), batch)
                cache = _with_arrays(cache, stored, batch)
                records = encode_arrays(stored)
                if not slice_bytes:
                    slice_bytes = len(records[0]) + _RECORD_FRAME_BYTES
                    _check_room(cache.folder, slice_bytes * (total - done))
                for record in records:
                    writer.write(record)
                done += len(records)
                if progress is not None:
                    in_all = f"{slice_bytes * total / 1e6:.1f} MB in all"
                    progress(done, total, f"{batch.case_ids[-1]}, {in_all}")
        os.replace(partial, path)
        entry = CacheShard(shard.file, path.stat().st_size, sha256_of(path))
        cache = dataclasses.replace(cache, shards=(*cache.shards, entry))
        cache.save(UNFINISHED_NAME)
    os.replace(cache.folder / UNFINISHED_NAME, cache.folder / CACHE_NAME)


def _is_finished(wanted: SliceCache) -> bool:
    """Whether all is written; `RecordError` if it is a cache of something else."""
    if not (wanted.folder / CACHE_NAME).exists():
        return False
    if differences := _differences(SliceCache.load(wanted.folder), wanted):
        raise RecordError(
            f"{wanted.folder / CACHE_NAME}: a finished slice cache of something else. "
            f"{'; '.join(differences)}. Remove the folder or choose another one."
        )
    return True


def _begin(new: SliceCache) -> SliceCache:
    """The cache as far as it is written: begun, or new."""
    folder = new.folder
    if (folder / UNFINISHED_NAME).exists():
        found = SliceCache.load(folder, UNFINISHED_NAME)
        whole = all((folder / shard.file).is_file() for shard in found.shards)
        if whole and not _differences(found, new):
            return found
        for shard in found.shards:
            (folder / shard.file).unlink(missing_ok=True)
    new.save(UNFINISHED_NAME)
    return new


def _differences(found: SliceCache, wanted: SliceCache) -> list[str]:
    one, other = (
        cache.key | {"SHA-256 of the records' manifest": cache.manifest_sha256}
        for cache in (found, wanted)
    )
    return [
        f"{name}: expected {other.get(name)!r}, received {one.get(name)!r}"
        for name in sorted(one | other)
        if one.get(name) != other.get(name)
    ]


def _batches(data: CTRecords, shard: Shard, batch_size: int) -> Iterator[_Batch]:
    manifest = data.manifest
    dataset = (
        tf.data.TFRecordDataset(str(data.folder / shard.file))
        .batch(batch_size)
        .map(lambda records: decode_batch(records, manifest.spec, manifest.case_id_length))
        .prefetch(2)
    )
    with naming_damage(data.folder, shard):
        for slices in dataset.as_numpy_iterator():
            yield _Batch(
                window(slices["image"], manifest.spec),
                slices["mask"],
                decode_case_ids(slices["case_id"]),
                slices["slice_index"],
            )


def _storable(computed: Mapping[str, np.ndarray], batch: _Batch) -> dict[str, np.ndarray]:
    """The arrays in the types that they are kept in."""
    count = len(batch.case_ids)
    stored = {}
    for name, value in computed.items():
        array = np.asarray(value)
        if not 1 <= array.ndim <= 4 or len(array) != count:
            raise RecordError(
                f"slice cache: array {name!r} of case {batch.case_ids[0]}: expected shape "
                f"({count}, ...) with at most 4 axes, received {array.shape}."
            )
        dtype = "<f2" if array.ndim == 4 else "<f4"
        if array.dtype == np.uint8 and array.ndim == 4 and array.shape[-1] == 1:
            stored[name] = array
            continue
        with np.errstate(over="ignore"):  # it becomes infinite, which is refused below
            stored[name] = array.astype(dtype)
        wrong = np.argwhere(~np.isfinite(stored[name]))
        if len(wrong):
            place = tuple(wrong[0])
            raise RecordError(
                f"slice cache: array {name!r} of case {batch.case_ids[place[0]]}, slice "
                f"{batch.slice_index[place[0]]}: expected finite numbers up to "
                f"{np.finfo(dtype).max:g}, as {np.dtype(dtype).name} holds them, received "
                f"{array[place]}. Check what computes it, or scale it down."
            )
    return stored


def _with_arrays(cache: SliceCache, stored: dict[str, np.ndarray], batch: _Batch) -> SliceCache:
    """The cache, described by the first batch; `RecordError` if a later one differs from it."""
    arrays = {
        name: CachedArray(array.shape[1:], array.dtype.name) for name, array in stored.items()
    }
    if not arrays or arrays != (cache.arrays or arrays):
        expected = f"{cache.arrays} as before" if cache.arrays else "at least one"
        raise RecordError(
            f"slice cache: arrays of case {batch.case_ids[0]}, slice {batch.slice_index[0]}: "
            f"expected {expected}, received {arrays or 'none'}. Every slice needs the same names "
            f"and shapes; if `compute` was changed since the cache was begun, change `key` too."
        )
    return dataclasses.replace(cache, arrays=arrays)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RecordError(
            f"{folder}: expected {needed / 1e6:.1f} MB of free space for the slice cache, received "
            f"{free / 1e6:.1f} MB. Free some, choose a folder on another disk, or keep less."
        )
