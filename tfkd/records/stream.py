"""Endless training batches that can be resumed at any step and shared out to workers."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfkd.records.manifest import Manifest
from tfkd.records.pipeline import batch_decoder, with_sharding
from tfkd.records.slice_cache import SliceCache
from tfkd.records.slice_sampler import SliceSampler, TrainingPlan

__all__ = ["stream_dataset"]


def stream_dataset(
    manifest: Manifest,
    folder: Path,
    plan: TrainingPlan,
    *,
    epoch: int = 0,
    step: int = 0,
    worker: int = 0,
    workers: int = 1,
    cache: SliceCache | None = None,
) -> tf.data.Dataset:
    """The training batches from a given step on, without end.

    What a batch holds depends on the files, the plan, the epoch and the step alone. Drawing and
    skipping work on encoded slices; only a worker's own ones are decoded and varied.

    Args:
        manifest: The records' manifest.
        folder: Their folder.
        plan: How to draw, see `SliceSampler`.
        epoch: Epoch of the first batch, from 0 on.
        step: Its step in the epoch, from 0 on; beyond the last one it counts on in later epochs.
        worker: Number of this worker, from 0 on.
        workers: Number of workers that share each batch, one after the other.
        cache: What lies beside the records, or None.

    Returns:
        Batches of image and targets, see `batch_decoder`, with N = `plan.batch_size` / `workers`.

    Raises:
        ValueError: If a number is out of range, or `workers` does not divide the batch size.
    """
    if epoch < 0 or step < 0:
        raise ValueError(f"epoch and step: expected 0 or more, received {epoch} and {step}.")
    if not 0 <= worker < workers:
        raise ValueError(
            f"worker and workers: expected 0 <= worker < workers, received {worker} and {workers}."
        )
    if plan.batch_size % workers:
        raise ValueError(
            f"workers: expected a divisor of the batch size {plan.batch_size}, received {workers}. "
            f"Load the records with a multiple of {workers} as `batch_size`."
        )
    folders = [folder] if cache is None else [folder, cache.folder]
    decode = batch_decoder(manifest, plan, cache)
    first = epoch * plan.steps + step

    def make_batch(
        number: tf.Tensor, drawn: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        seed = tf.stack([tf.constant(plan.seed, tf.int64), number])
        return decode(drawn[0], seed, worker, workers)

    dataset = (
        tf.data.Dataset.counter(first // plan.steps)
        .flat_map(SliceSampler(manifest, folders, plan).epoch)
        .skip(first % plan.steps * plan.batch_size)
        # Parts of one size, of which each worker in turn takes one.
        .batch(plan.batch_size // workers, drop_remainder=True)
        .shard(workers, worker)
        .enumerate(first)
        .map(make_batch, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    return with_sharding(dataset, tf.data.experimental.AutoShardPolicy.OFF)
