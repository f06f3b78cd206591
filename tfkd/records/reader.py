"""Loads a folder of records as training, validation and test data."""

import dataclasses
import functools
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from tfkd.errors import RecordError
from tfkd.records.augmentation import AUGMENTATIONS, Augmentation
from tfkd.records.encoding import decode_example
from tfkd.records.manifest import Manifest, Shard
from tfkd.records.pipeline import evaluation_dataset, training_dataset
from tfkd.records.sampling import UNLABELLED, Sampling, slice_groups
from tfkd.records.slice_cache import SliceCache
from tfkd.records.slice_sampler import TrainingPlan
from tfkd.records.stream import stream_dataset
from tfkd.volumes import DataFacts, PreprocessSpec, SliceExample, sha256_of, window

__all__ = ["CTRecords", "drawn_slices", "load", "naming_damage"]


@dataclass(frozen=True)
class CTRecords:
    """The data of a records folder, made by `load`.

    Args:
        folder: The folder.
        manifest: Its manifest.
        batch_size: Slices per batch.
        training: How training batches are drawn.
        cache: What was computed for each training slice, see `with_cache`; None for nothing.
    """

    folder: Path
    manifest: Manifest
    batch_size: int
    training: TrainingPlan
    cache: SliceCache | None = None

    @functools.cached_property
    def train(self) -> tf.data.Dataset:
        """Class-balanced, shuffled, varied slices, in another order every epoch.

        Batches of image float32 (N, H, W, C) in `spec.output_range` and mask int32 (N, H, W), of
        static shape; `steps_per_epoch` batches an epoch. Equal seeds give equal epochs. Raises
        `RecordError` if the split is empty.
        """
        self.manifest.cases_of("train")
        return self._known(training_dataset(self.manifest, self.folder, self.training))

    def stream(
        self, epoch: int = 0, step: int = 0, worker: int = 0, workers: int = 1
    ) -> tf.data.Dataset:
        """The training batches from a given step on, without end: to be resumed, and shared out.

        What the batch of an epoch and step holds depends on the data as it was loaded (records,
        settings, seed, cache) and these two numbers alone: a training that was killed and goes on
        there sees what it would have seen.
        Several workers that share a global batch of `batch_size` get N = `batch_size` / `workers`
        consecutive rows of it each; joined, they are bit for bit the batch of a single worker.
        Nothing else must shard the dataset (its options say so).

        Args:
            epoch: Epoch of the first batch, from 0 on.
            step: Its step in the epoch, from 0 on; beyond the last one it counts on in later
                epochs.
            worker: Number of this worker, from 0 on.
            workers: Number of workers.

        Returns:
            Batches of image float32 (N, H, W, C) in `spec.output_range` and targets, all of static
            shape. The targets are a dictionary: ``mask`` int32 (N, H, W); ``case_id`` uint8
            (N, L), see `decode_case_ids`; ``slice_index`` int32 (N,); and with a cache ``cache``,
            a dictionary of its arrays by name, float32 (N, ...), or int32 where they are labels:
            maps have moved with the slice.

        Raises:
            RecordError: If the split is empty.
            ValueError: If a number is out of range, or `workers` does not divide `batch_size`.

        Example:
            >>> model.fit(  # doctest: +SKIP
            ...     data.stream(epoch=3), steps_per_epoch=data.steps_per_epoch, initial_epoch=3
            ... )
        """
        self.manifest.cases_of("train")
        batches = stream_dataset(
            self.manifest,
            self.folder,
            self.training,
            epoch=epoch,
            step=step,
            worker=worker,
            workers=workers,
            cache=self.cache,
        )
        return self._known(batches)

    def with_cache(self, folder: str | Path, verify: bool = False) -> "CTRecords":
        """The same data, whose `stream` also gives what `write_slice_cache` wrote.

        The cache takes part of the memory that slices are shuffled in: where an epoch is larger
        than that, their order is not the one without a cache.

        Args:
            folder: The cache's folder.
            verify: Whether to compare every file's checksum (reads all of them once).

        Raises:
            RecordError: If the cache is missing, unfinished, damaged, or of other records.
        """
        cache = SliceCache.load(folder)
        cache.check(self.folder, self.manifest, verify)
        return dataclasses.replace(self, cache=cache)

    @functools.cached_property
    def validation(self) -> tf.data.Dataset:
        """Every validation slice in order, without variation, in batches of nearly equal size.

        Of records of a protocol with `only_positive`, every slice with foreground.
        """
        self.manifest.cases_of("validation")
        return self._evaluation("validation")

    @functools.cached_property
    def test(self) -> tf.data.Dataset:
        """Every test slice, as in `validation`."""
        self.manifest.cases_of("test")
        return self._evaluation("test")

    def _evaluation(self, split: str) -> tf.data.Dataset:
        return self._known(evaluation_dataset(self.manifest, self.folder, split, self.batch_size))

    def _known(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """The dataset, of which a `Distiller` can see by its `facts` what it holds."""
        dataset.facts = self.facts
        dataset.records = self  # see `naming_damage_in`
        return dataset

    def check_files(self) -> None:
        """Reads every file and compares its checksum with the one taken when it was written.

        Takes about a second for each gigabyte.

        Raises:
            RecordError: Naming the first shard, with its cases, or file of the cache that is
                missing or damaged.
        """
        _check_shards(self.manifest, self.folder, verify=True)
        if self.cache is not None:
            self.cache.check(self.folder, self.manifest, verify=True)

    @property
    def facts(self) -> DataFacts:
        """What a network learns from these records; its file keeps it.

        Every dataset of these records has it as `facts`, by which a `tfkd.Distiller` notices a
        network that was trained on other data. What `tf.data` makes of a dataset (`map`, `take`)
        does not have it.
        """
        return self.manifest.facts

    @property
    def spec(self) -> PreprocessSpec:
        """The preprocessing of the slices."""
        return self.manifest.spec

    @property
    def label_names(self) -> tuple[str, ...]:
        """Name of every class, ``"background"`` first."""
        return self.manifest.label_names

    @property
    def num_classes(self) -> int:
        """Number of classes, the background included."""
        return self.manifest.num_classes

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Ids of the cases that training batches are drawn from."""
        drawn = drawn_slices(self.manifest, self.training.sampling, self.training.leave_out)
        return tuple(case_id for case_id, slices in drawn.items() if slices)

    @property
    def steps_per_epoch(self) -> int:
        """Training batches per epoch."""
        return self.training.steps

    def examples(self, split: str, case_id: str | int | None = None) -> Iterator[SliceExample]:
        """The slices of a split as they are stored: in HU, not windowed, in order.

        Args:
            split: ``"train"``, ``"validation"`` or ``"test"``.
            case_id: Only this case (id or number); None for all.

        Yields:
            Every slice, from the lowest of a case up.

        Raises:
            RecordError: If the split is empty, the case is not in it, or a shard is damaged.
        """
        names = [case.case_id for case in self.manifest.cases_of(split)]
        if case_id is not None:
            only = self.manifest.case(case_id).case_id
            if only not in names:
                raise RecordError(
                    f"case {only} is not in split {split}. Expected one of: {', '.join(names)}."
                )
            names = [only]
        wanted = {
            (name, index) for name in names for index in range(self.manifest.case(name).slices)
        }
        yield from self._read(split, wanted)

    def calibration(self, slices: int = 200) -> np.ndarray:
        """Training slices for calibrating a quantised file, every class among them.

        The groups of `Sampling` (slices whose rarest label is the same, and empty slices) take
        turns; inside a group, slices are taken at equal distances. Slices without labels, which
        would not be known to show every class, are left out.

        Args:
            slices: How many; fewer if the split has fewer.

        Returns:
            (n, H, W, C) float32 in `spec.output_range`, without variation.

        Raises:
            RecordError: If the split is empty or a shard is damaged.
        """
        labels = {
            (case.case_id, index): one
            for case in self.manifest.cases_of("train")
            for index, one in enumerate(case.labels_per_slice)
            if one != UNLABELLED
        }
        places = list(labels)
        groups = slice_groups(list(labels.values()))
        chosen = {places[position] for position in _stratified(groups, slices)}
        images = [example.image_hu for example in self._read("train", chosen)]
        return window(np.stack(images), self.spec)

    def _read(self, split: str, wanted: set[tuple[str, int]]) -> Iterator[SliceExample]:
        for shard in self.manifest.shards_of(split):
            places = [
                (case_id, index)
                for case_id in shard.case_ids
                for index in range(self.manifest.case(case_id).slices)
            ]
            if wanted.isdisjoint(places):
                continue
            records = tf.data.TFRecordDataset(str(self.folder / shard.file))
            with naming_damage(self.folder, shard):
                for place, record in zip(places, records.as_numpy_iterator(), strict=True):
                    if place in wanted:
                        yield decode_example(record, self.spec)


@contextmanager
def naming_damage(folder: Path, shard: Shard) -> Iterator[None]:
    """Turns TensorFlow's error about a damaged file, which does not name it, into one that does.

    Args:
        folder: The records folder.
        shard: The shard that the block reads.

    Raises:
        RecordError: If the shard is damaged; names it and its cases.
    """
    try:
        yield
    except tf.errors.DataLossError as error:
        raise RecordError(
            f"{folder / shard.file} is damaged, with the cases {', '.join(shard.case_ids)} "
            f"({error.message}). Compare its checksum with `load(verify=True)`; copy it again or "
            f"prepare the records again."
        ) from error


def _stratified(groups: np.ndarray, count: int) -> list[int]:
    """Positions of `count` slices: the groups take turns until it is reached."""
    members = {group: np.flatnonzero(groups == group) for group in np.unique(groups)}
    quota = dict.fromkeys(members, 0)
    while sum(quota.values()) < min(count, len(groups)):
        open_ = [group for group in members if quota[group] < len(members[group])]
        for group in open_[: min(count, len(groups)) - sum(quota.values())]:
            quota[group] += 1
    chosen: list[int] = []
    for group, positions in members.items():
        at = (np.arange(quota[group]) + 0.5) * len(positions) / max(1, quota[group])
        chosen.extend(positions[at.astype(int)].tolist())
    return sorted(chosen)


def load(
    folder: str | Path,
    *,
    batch_size: int = 8,
    augmentation: Augmentation | Literal["protocol"] | None = "protocol",
    sampling: Sampling | None = None,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    leave_out: Collection[str] = (),
    verify: bool = False,
) -> CTRecords:
    """Loads what `prepare` wrote.

    Args:
        folder: The records folder.
        batch_size: Slices per batch.
        augmentation: How training slices are varied; `"protocol"` as the records' protocol has it,
            None for not at all.
        sampling: How often slices of each class, and slices without labels, are shown; None for
            the defaults of `Sampling`, which leave the latter out, and the protocol's share of
            empty slices.
        steps_per_epoch: Training batches per epoch; None for as many slices as the split has to
            draw from.
        seed: Seed of order, sampling and augmentation.
        leave_out: Training cases (ids) not to draw training batches from, such as one of
            `Manifest.folds`, about which a teacher is to stay honest.
        verify: Whether to compare every shard's checksum (reads all of them once).

    Returns:
        The data; a split's dataset is built when it is first used.

    Raises:
        RecordError: If the manifest or a shard is missing, damaged or of another version, or if
            `leave_out` names a case that is not in the training split, or all that have labels.
        ValueError: If `batch_size` or `steps_per_epoch` is not positive.

    Example:
        >>> data = load("records/lits17", batch_size=16)  # doctest: +SKIP
        >>> model.fit(data.train, validation_data=data.validation, epochs=30)  # doctest: +SKIP
    """
    if batch_size < 1 or (steps_per_epoch is not None and steps_per_epoch < 1):
        raise ValueError(
            f"batch_size and steps_per_epoch: expected positive numbers, received {batch_size} "
            f"and {steps_per_epoch}."
        )
    folder = Path(folder)
    manifest = Manifest.load(folder)
    _check_shards(manifest, folder, verify)
    left_out = _checked_leave_out(manifest, leave_out)
    protocol = manifest.protocol
    sampling = sampling or Sampling(empty_share=protocol.empty_share)
    if augmentation == "protocol":
        augmentation = AUGMENTATIONS[protocol.variation]
    # Slices without labels do not lengthen an epoch: a student that sees them too is trained for
    # as long as one that does not.
    labelled = replace(sampling, unlabelled_share=0.0)
    slices = sum(drawn_slices(manifest, labelled, left_out).values())
    plan = TrainingPlan(
        batch_size,
        steps_per_epoch or max(1, slices // batch_size),
        sampling,
        augmentation,
        seed,
        left_out,
    )
    return CTRecords(folder, manifest, batch_size, plan)


def drawn_slices(
    manifest: Manifest, sampling: Sampling, leave_out: Collection[str] = ()
) -> dict[str, int]:
    """Number of slices of each training case that training batches are drawn from.

    Args:
        manifest: The records' manifest.
        sampling: Whether empty slices and slices without labels are among them.
        leave_out: Cases that are not drawn from.

    Returns:
        Numbers by case id, 0 included; nothing for an empty split.
    """
    left_out: set[tuple[int, ...]] = set() if sampling.unlabelled_share else {UNLABELLED}
    left_out |= set() if sampling.empty_share else {()}
    names = set(manifest.splits["train"]) - set(leave_out)
    return {
        case.case_id: sum(run for run, labels in case.presence_runs if labels not in left_out)
        for case in manifest.cases
        if case.case_id in names
    }


def _checked_leave_out(manifest: Manifest, leave_out: Collection[str]) -> frozenset[str]:
    if not leave_out:
        return frozenset()
    cases = {case.case_id for case in manifest.cases_of("train")}
    with_masks = {case.case_id for case in manifest.cases_of("train") if case.mask is not None}
    unknown = sorted(set(leave_out) - cases)
    if unknown or with_masks <= set(leave_out):
        raise RecordError(
            f"leave_out: expected some, not all, of the training cases "
            f"{', '.join(sorted(with_masks))}. Received {', '.join(sorted(leave_out))}."
        )
    return frozenset(leave_out)


def _check_shards(manifest: Manifest, folder: Path, verify: bool) -> None:
    for shard in manifest.shards:
        path = folder / shard.file
        if not path.is_file():
            raise RecordError(
                f"{path} is missing, with the cases {', '.join(shard.case_ids)}. Copy the whole "
                f"records folder, or prepare it again."
            )
        size = path.stat().st_size
        if size != shard.size_bytes:
            raise RecordError(
                f"{path} is damaged, with the cases {', '.join(shard.case_ids)}: expected "
                f"{shard.size_bytes} bytes, received {size}. Copy it again, or prepare the records "
                f"again."
            )
        if verify and sha256_of(path) != shard.sha256:
            raise RecordError(
                f"{path} is damaged, with the cases {', '.join(shard.case_ids)}: its SHA-256 is "
                f"not the manifest's. Copy it again, or prepare the records again."
            )
