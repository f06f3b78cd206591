"""Draws the encoded training slices of an epoch: which, how often and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfkd.records.augmentation import Augmentation
from tfkd.records.manifest import Manifest
from tfkd.records.sampling import Sampling, expected_copies

__all__ = ["SliceSampler", "TrainingPlan"]

_SHARDS_AT_ONCE = 16
_RECORDS_AT_ONCE = 16
_BYTES_AT_ONCE = 2 * 2**20  # of each open shard, where records are large
_MAX_COPIES = 2**20  # of one slice in an epoch; keeps their seeds apart
_SHUFFLE_BYTES = 256 * 2**20  # memory that the shuffle buffer of encoded slices may take


@dataclass(frozen=True)
class TrainingPlan:
    """How training batches are drawn.

    Args:
        batch_size: Slices per batch.
        steps: Batches per epoch.
        sampling: Shares of the classes, and of slices without labels.
        augmentation: Variation of the slices, or None.
        seed: Seed of order, sampling and augmentation.
        leave_out: Ids of training cases that are not drawn from.
    """

    batch_size: int
    steps: int
    sampling: Sampling
    augmentation: Augmentation | None
    seed: int
    leave_out: frozenset[str] = frozenset()


class SliceSampler:
    """The encoded slices of an epoch, in an order to train in.

    Shards are visited in random order and interleaved; every slice is given as many copies as
    `Sampling` wants (rounded up or down at random); the copies are shuffled.

    Args:
        manifest: The records' manifest.
        folders: The folders to read the training shards from, `Shard.file` in each: the records,
            and whatever lies beside them slice by slice.
        plan: How to draw.
    """

    def __init__(self, manifest: Manifest, folders: Sequence[Path], plan: TrainingPlan) -> None:
        shards = manifest.shards_of("train")
        counts = np.array([shard.records for shard in shards], np.int64)
        paths = [[folder / shard.file for folder in folders] for shard in shards]
        self._plan = plan
        # Of every shard: its files, the number of its first slice, and how many it holds.
        self._files = (
            tf.constant([[str(path) for path in row] for row in paths]),
            tf.constant(np.cumsum(counts) - counts),
            tf.constant(counts),
        )
        # One more per shard than an epoch takes, for what rounding may lose in each shard.
        total = plan.batch_size * plan.steps + len(shards)
        labels, drawn = _labels_in_shard_order(manifest, plan.leave_out)
        copies = np.zeros(len(labels))
        copies[drawn] = expected_copies([labels[k] for k in drawn], total, plan.sampling)
        # Slice i is due as often as a multiple of 1, moved by a random offset, lies between edges
        # i and i + 1: on average `copies[i]` times, and never more than one off.
        self._edges = tf.constant(np.concatenate([[0.0], np.cumsum(copies)]))
        mean_bytes = sum(path.stat().st_size for row in paths for path in row) / counts.sum()
        self._buffer = max(1, min(total, int(_SHUFFLE_BYTES / mean_bytes)))
        self._at_once = max(1, min(_RECORDS_AT_ONCE, int(_BYTES_AT_ONCE / mean_bytes)))

    def reshuffled(self) -> tf.data.Dataset:
        """An epoch, and another one at each iteration.

        Returns:
            (the slice's record in each folder (k,) string, a seed of its own (2,) int64), at
            least `batch_size` · `steps` of them. The seed is drawn per shard and epoch, in order,
            and travels along: what it decides does not depend on which thread handles the slice.
        """
        files = tf.data.Dataset.from_tensor_slices(self._files)
        files = files.shuffle(
            len(self._files[1]), seed=self._plan.seed, reshuffle_each_iteration=True
        )
        seeds = tf.data.Dataset.random(seed=self._plan.seed, rerandomize_each_iteration=True)
        return self._interleave(tf.data.Dataset.zip(files, seeds)).shuffle(
            self._buffer, seed=self._plan.seed, reshuffle_each_iteration=True
        )

    def epoch(self, number: tf.Tensor) -> tf.data.Dataset:
        """Epoch `number`, a function of it, the plan and the files; to be called in a `flat_map`.

        Returns:
            As `reshuffled`, exactly `batch_size` · `steps` elements.
        """
        # `shuffle` mixes the seed of the graph into its own. In a `flat_map` this sets the seed of
        # its function only; without it, the user's `keras.utils.set_random_seed` would count.
        tf.random.set_seed(1)
        seed = tf.stack([tf.constant(self._plan.seed, tf.int64), number])
        count = len(self._files[1])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed)
        own = tf.random.stateless_uniform(
            [count + 1], seed, minval=None, maxval=None, dtype=tf.int64
        )
        files = tf.data.Dataset.from_tensor_slices(
            (tuple(tf.gather(facts, order) for facts in self._files), own[1:])
        )
        return (
            self._interleave(files)
            .shuffle(self._buffer, seed=own[0], reshuffle_each_iteration=False)
            .take(self._plan.batch_size * self._plan.steps)
        )

    def _interleave(self, files_and_seeds: tf.data.Dataset) -> tf.data.Dataset:
        return files_and_seeds.interleave(
            self._sample_shard, cycle_length=_SHARDS_AT_ONCE, block_length=1
        )

    def _sample_shard(self, file: tuple[tf.Tensor, ...], seed: tf.Tensor) -> tf.data.Dataset:
        paths, first, count = file
        offset = tf.random.stateless_uniform([], [self._plan.seed, seed], dtype=tf.float64)
        passed = tf.floor(self._edges[first : first + count + 1] + offset)
        times = tf.cast(passed[1:] - passed[:-1], tf.int64)
        facts = tf.data.Dataset.from_tensor_slices((first + tf.range(count), times))
        files = [tf.data.TFRecordDataset(path) for path in tf.unstack(paths)]
        # A few at a time: handling them one by one would cost more than decoding them.
        return (
            tf.data.Dataset.zip(*files, facts)
            .batch(self._at_once)
            .map(lambda *row: _repeat(tf.stack(row[:-1], axis=1), row[-1], seed))
            .unbatch()
        )


def _repeat(
    records: tf.Tensor, facts: tuple[tf.Tensor, tf.Tensor], seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Repeats every record as often as it is due; each copy gets a seed of its own."""
    index, times = facts
    copy = tf.range(tf.reduce_sum(times)) - tf.repeat(tf.cumsum(times) - times, times)
    own = tf.repeat(index, times) * _MAX_COPIES + copy
    copies = tf.repeat(records, times, axis=0)
    return copies, tf.stack([tf.fill(tf.shape(own), seed), own], axis=1)


def _labels_in_shard_order(
    manifest: Manifest, leave_out: frozenset[str]
) -> tuple[list[tuple[int, ...]], list[int]]:
    """The labels of every training slice, and the numbers of those to draw from."""
    cases = [
        manifest.case(case_id)
        for shard in manifest.shards_of("train")
        for case_id in shard.case_ids
    ]
    of_slice = [(case.case_id, labels) for case in cases for labels in case.labels_per_slice]
    drawn = [k for k, (case_id, _) in enumerate(of_slice) if case_id not in leave_out]
    return [labels for _, labels in of_slice], drawn
