"""The `tf.data` pipelines from shards to batches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.errors import RecordError
from tfkd.records.augmentation import AugmentationLayer
from tfkd.records.encoding import decode_batch
from tfkd.records.manifest import Manifest
from tfkd.records.slice_cache import SliceCache
from tfkd.records.slice_sampler import SliceSampler, TrainingPlan
from tfkd.volumes import PreprocessSpec

__all__ = [
    "batch_decoder",
    "evaluation_dataset",
    "training_dataset",
    "window_tf",
    "with_sharding",
]


def window_tf(images_hu: tf.Tensor, spec: PreprocessSpec) -> tf.Tensor:
    """`tfkd.volumes.window` in TensorFlow: the same float32 operations in the same order."""
    low, high = (np.float32(edge) for edge in spec.window_hu)
    bottom, top = spec.output_range
    scale = np.float32((top - bottom) / (spec.window_hu[1] - spec.window_hu[0]))
    clipped = tf.clip_by_value(tf.cast(images_hu, tf.float32), low, high)
    return (clipped - low) * scale + np.float32(bottom)


def batch_decoder(
    manifest: Manifest, plan: TrainingPlan, cache: SliceCache | None = None
) -> Callable[..., tuple[tf.Tensor, dict[str, Any]]]:
    """Makes the function that turns encoded slices into a training batch.

    Args:
        manifest: The records' manifest.
        plan: How to vary the slices.
        cache: What lies beside the records, or None.

    Returns:
        A function of the records (N, k) string, of the records and of the cache, the batch's seed
        (2,) int64, and `worker` and `workers` as of `AugmentationLayer`. It returns the image
        float32 (N, H, W, C) and the targets, a dictionary: ``mask`` int32 (N, H, W), ``case_id``
        uint8 (N, L), ``slice_index`` int32 (N,), and with a cache ``cache``, its arrays by name.
    """
    spec = manifest.spec
    augment = None
    if plan.augmentation is not None:
        augment = AugmentationLayer(plan.augmentation, spec.window_hu)

    def decode(
        records: tf.Tensor, seed: tf.Tensor, worker: int = 0, workers: int = 1
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        targets = decode_batch(records[:, 0], spec, manifest.case_id_length)
        image = targets.pop("image")
        cached = {} if cache is None else cache.decode(records[:, 1])
        if augment is not None:
            maps = {name: value for name, value in cached.items() if value.shape.rank == 4}
            slices = {"images": image, "segmentation_masks": targets["mask"], "maps": maps}
            varied = augment(slices, seed=seed, worker=worker, workers=workers)
            image, targets["mask"] = varied["images"], varied["segmentation_masks"]
            cached |= varied["maps"]
        if cache is not None:
            targets["cache"] = cached
        return window_tf(image, spec), targets

    return decode


def training_dataset(manifest: Manifest, folder: Path, plan: TrainingPlan) -> tf.data.Dataset:
    """Class-balanced, shuffled, varied batches, an epoch at a time.

    Args:
        manifest: The records' manifest.
        folder: Their folder.
        plan: How to draw, see `SliceSampler`.

    Returns:
        Batches of image float32 (N, H, W, C) and mask int32 (N, H, W), all of static shape;
        `plan.steps` of them.
    """
    decode = batch_decoder(manifest, plan)

    def make_batch(records: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, targets = decode(records, seeds[0])
        return image, targets["mask"]

    dataset = (
        SliceSampler(manifest, [folder], plan)
        .reshuffled()
        # Endless, then cut: a worker that is given a part of the shards has as many steps.
        .repeat()
        .take(plan.batch_size * plan.steps)
        .batch(plan.batch_size, drop_remainder=True)
        .map(make_batch, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    return with_sharding(dataset, tf.data.experimental.AutoShardPolicy.FILE)


def evaluation_dataset(
    manifest: Manifest, folder: Path, split: str, batch_size: int
) -> tf.data.Dataset:
    """Every slice of a split that the protocol counts once, in order and unaltered.

    The batches are as few as the size allows and of equal sizes, but for one slice: a last one of a
    slice or two could not be shared out to the replicas of a `tf.distribute` strategy. Each of
    several workers is given all of them, so that all have the same number of steps.

    Args:
        manifest: The records' manifest.
        folder: Their folder.
        split: The split.
        batch_size: Slices per batch, at most.

    Returns:
        Batches of image float32 (N, H, W, C) and mask int32 (N, H, W).

    Raises:
        RecordError: If the protocol counts slices with foreground only, and the split has none.
    """
    counted = _counted(manifest, split)
    slices = sum(counted)
    if not slices:
        raise RecordError(
            f"{folder}: expected slices with {manifest.label_names[1]} in split {split}, which the "
            f"protocol {manifest.protocol.name} counts alone. Found none; prepare the records with "
            f"other patients in it."
        )
    batches = -(-slices // batch_size)
    size, larger = divmod(slices, batches)

    def decode(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        decoded = decode_batch(encoded, manifest.spec, manifest.case_id_length)
        return window_tf(decoded["image"], manifest.spec), decoded["mask"]

    paths = [str(folder / shard.file) for shard in manifest.shards_of(split)]
    records = tf.data.TFRecordDataset(paths)
    if slices < len(counted):
        flags = tf.data.Dataset.from_tensor_slices(counted)
        records = tf.data.Dataset.zip(records, flags)
        records = records.filter(lambda _, counts: counts).map(lambda record, _: record)
    first = (size + 1) * larger
    dataset = (
        records.take(first)
        .batch(size + 1)
        .concatenate(records.skip(first).batch(size))
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .apply(tf.data.experimental.assert_cardinality(batches))
        .prefetch(tf.data.AUTOTUNE)
    )
    return with_sharding(dataset, tf.data.experimental.AutoShardPolicy.OFF)


def _counted(manifest: Manifest, split: str) -> list[bool]:
    """Whether each slice of a split counts, in the order of the shards."""
    return [
        bool(labels) or not manifest.protocol.only_positive
        for shard in manifest.shards_of(split)
        for case_id in shard.case_ids
        for labels in manifest.case(case_id).labels_per_slice
    ]


def with_sharding(
    dataset: tf.data.Dataset, policy: tf.data.experimental.AutoShardPolicy
) -> tf.data.Dataset:
    """The dataset, to be shared out to workers by `policy`."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = policy
    return dataset.with_options(options)
