"""The `tf.data` pipelines from shards to batches."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfkd.records.augmentation import Augmentation, AugmentationLayer
from tfkd.records.encoding import decode_slice
from tfkd.records.manifest import Manifest
from tfkd.records.sampling import Sampling, expected_copies
from tfkd.volumes import PreprocessSpec

__all__ = ["TrainingPlan", "evaluation_dataset", "training_dataset", "window_tf"]

_SHARDS_AT_ONCE = 16
_RECORDS_AT_ONCE = 16
_MAX_COPIES = 2**20  # of one slice in an epoch; keeps their seeds apart
_SHUFFLE_BYTES = 256 * 2**20  # memory that the shuffle buffer of encoded slices may take


@dataclass(frozen=True)
class TrainingPlan:
    """How training batches are drawn.

    Args:
        batch_size: Slices per batch.
        steps: Batches per epoch.
        sampling: Shares of the classes.
        augmentation: Variation of the slices, or None.
        seed: Seed of order, sampling and augmentation.
    """

    batch_size: int
    steps: int
    sampling: Sampling
    augmentation: Augmentation | None
    seed: int


def window_tf(images_hu: tf.Tensor, spec: PreprocessSpec) -> tf.Tensor:
    """`tfkd.volumes.window` in TensorFlow: the same float32 operations in the same order."""
    low, high = (np.float32(edge) for edge in spec.window_hu)
    bottom, top = spec.output_range
    scale = np.float32((top - bottom) / (spec.window_hu[1] - spec.window_hu[0]))
    clipped = tf.clip_by_value(tf.cast(images_hu, tf.float32), low, high)
    return (clipped - low) * scale + np.float32(bottom)


def training_dataset(manifest: Manifest, folder: Path, plan: TrainingPlan) -> tf.data.Dataset:
    """Class-balanced, shuffled, varied batches, an epoch at a time.

    Shards are visited in random order and interleaved; every slice is given as many copies as
    `Sampling` wants (rounded up or down at random); the copies are shuffled. Everything random is
    drawn per shard and epoch, in order, and travels along with the slice as its seed: what a
    slice becomes does not depend on which thread handled it.

    Args:
        manifest: The records' manifest.
        folder: Their folder.
        plan: How to draw.

    Returns:
        Batches of image float32 (N, H, W, C) and mask int32 (N, H, W), all of static shape;
        `plan.steps` of them.
    """
    spec = manifest.spec
    augment = None
    if plan.augmentation is not None:
        augment = AugmentationLayer(plan.augmentation, spec.window_hu)

    def decode(record: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (*decode_slice(record, spec), seed)

    def vary(images: tf.Tensor, masks: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if augment is not None:
            varied = augment({"images": images, "segmentation_masks": masks}, seed=seeds[0])
            images, masks = varied["images"], varied["segmentation_masks"]
        return window_tf(images, spec), masks

    dataset = (
        _sampled_records(manifest, folder, plan)
        # Endless, then cut: a worker that is given a part of the shards has as many steps.
        .repeat()
        .take(plan.batch_size * plan.steps)
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(plan.batch_size, drop_remainder=True)
        .map(vary, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    return _with_sharding(dataset, tf.data.experimental.AutoShardPolicy.FILE)


def _sampled_records(manifest: Manifest, folder: Path, plan: TrainingPlan) -> tf.data.Dataset:
    """One epoch of (encoded slice, seed (2,) int64), sampled and shuffled."""
    shards = manifest.shards_of("train")
    counts = np.array([shard.records for shard in shards], np.int64)
    # One more per shard than an epoch takes, for what rounding may lose in each shard.
    total = plan.batch_size * plan.steps + len(shards)
    copies = expected_copies(_labels_in_shard_order(manifest), total, plan.sampling)
    # Slice i is due as often as a multiple of 1, moved by a random offset, lies between edges i
    # and i + 1: on average `copies[i]` times, and never more than one off.
    edges = tf.constant(np.concatenate([[0.0], np.cumsum(copies)]))

    def sample_shard(file: tuple[tf.Tensor, ...], seed: tf.Tensor) -> tf.data.Dataset:
        path, first, count = file
        offset = tf.random.stateless_uniform([], [plan.seed, seed], dtype=tf.float64)
        passed = tf.floor(edges[first : first + count + 1] + offset)
        times = tf.cast(passed[1:] - passed[:-1], tf.int64)
        facts = tf.data.Dataset.from_tensor_slices((first + tf.range(count), times))
        records = tf.data.Dataset.zip(tf.data.TFRecordDataset(path), facts)
        # A few at a time: handling them one by one would cost more than decoding them.
        return (
            records.batch(_RECORDS_AT_ONCE)
            .map(lambda record, facts: _repeat(record, facts, seed))
            .unbatch()
        )

    paths = _paths(manifest, folder, "train")
    files = tf.data.Dataset.from_tensor_slices((paths, np.cumsum(counts) - counts, counts))
    files = files.shuffle(len(shards), seed=plan.seed, reshuffle_each_iteration=True)
    seeds = tf.data.Dataset.random(seed=plan.seed, rerandomize_each_iteration=True)
    mean_bytes = sum(shard.size_bytes for shard in shards) / counts.sum()
    buffer = max(1, min(total, int(_SHUFFLE_BYTES / mean_bytes)))
    return (
        tf.data.Dataset.zip(files, seeds)
        .interleave(sample_shard, cycle_length=_SHARDS_AT_ONCE, block_length=1)
        .shuffle(buffer, seed=plan.seed, reshuffle_each_iteration=True)
    )


def _repeat(
    records: tf.Tensor, facts: tuple[tf.Tensor, tf.Tensor], seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Repeats every record as often as it is due; each copy gets a seed of its own."""
    index, times = facts
    copy = tf.range(tf.reduce_sum(times)) - tf.repeat(tf.cumsum(times) - times, times)
    own = tf.repeat(index, times) * _MAX_COPIES + copy
    return tf.repeat(records, times), tf.stack([tf.fill(tf.shape(own), seed), own], axis=1)


def evaluation_dataset(
    manifest: Manifest, folder: Path, split: str, batch_size: int
) -> tf.data.Dataset:
    """Every slice of a split once, in order and unaltered; the last batch may be smaller.

    Args:
        manifest: The records' manifest.
        folder: Their folder.
        split: The split.
        batch_size: Slices per batch.

    Returns:
        Batches of image float32 (N, H, W, C) and mask int32 (N, H, W).
    """
    batches = -(-manifest.slices_of(split) // batch_size)
    dataset = (
        tf.data.TFRecordDataset(_paths(manifest, folder, split))
        .map(lambda r: decode_slice(r, manifest.spec), num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size)
        .map(
            lambda images, masks: (window_tf(images, manifest.spec), masks),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .apply(tf.data.experimental.assert_cardinality(batches))
        .prefetch(tf.data.AUTOTUNE)
    )
    # By batches, not by files: with few shards some worker would be left without any.
    return _with_sharding(dataset, tf.data.experimental.AutoShardPolicy.DATA)


def _labels_in_shard_order(manifest: Manifest) -> list[tuple[int, ...]]:
    return [
        labels
        for shard in manifest.shards_of("train")
        for case_id in shard.case_ids
        for labels in manifest.case(case_id).labels_per_slice
    ]


def _paths(manifest: Manifest, folder: Path, split: str) -> list[str]:
    return [str(folder / shard.file) for shard in manifest.shards_of(split)]


def _with_sharding(
    dataset: tf.data.Dataset, policy: tf.data.experimental.AutoShardPolicy
) -> tf.data.Dataset:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = policy
    return dataset.with_options(options)
