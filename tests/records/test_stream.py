import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.errors import RecordError
from tfkd.records import Augmentation, CTRecords, Sampling, decode_case_ids, load

VARIED = Augmentation(elastic=0.05, flip_left_right=True)
STEPS = 5


def data_of(records: Path, **changes: object) -> CTRecords:
    facts = {"batch_size": 6, "steps_per_epoch": STEPS, "augmentation": VARIED, "seed": 3}
    return load(records, **{**facts, **changes})  # type: ignore[arg-type]


def batches(dataset: tf.data.Dataset, count: int) -> list[dict[str, np.ndarray]]:
    """The first `count` batches, image and targets in one dictionary."""
    taken = itertools.islice(dataset.as_numpy_iterator(), count)
    return [{"image": image} | targets for image, targets in taken]


def check_equal(one: list[dict], other: list[dict]) -> None:
    for a, b in zip(one, other, strict=True):
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def differ(one: list[dict], other: list[dict]) -> bool:
    return any(not np.array_equal(a["image"], b["image"]) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("augmentation", [VARIED, None])
def test_batches_are_static(records: Path, augmentation: Augmentation | None) -> None:
    image, targets = data_of(records, augmentation=augmentation).stream(workers=2).element_spec
    assert (image.shape, image.dtype) == ((3, 32, 40, 1), tf.float32)
    assert {name: (tuple(spec.shape), spec.dtype) for name, spec in targets.items()} == {
        "mask": ((3, 32, 40), tf.int32),
        "case_id": ((3, 9), tf.uint8),
        "slice_index": ((3,), tf.int32),
    }


@pytest.mark.parametrize("step", [0, 2, STEPS - 1])
def test_it_goes_on_as_if_it_had_not_been_stopped(records: Path, step: int) -> None:
    whole = batches(data_of(records).stream(), 3 * STEPS)
    resumed = batches(data_of(records).stream(epoch=1, step=step), 2 * STEPS - step)
    check_equal(resumed, whole[STEPS + step :])


def test_a_step_beyond_the_epoch_counts_on(records: Path) -> None:
    data = data_of(records)
    check_equal(batches(data.stream(1, STEPS + 2), 3), batches(data.stream(2, 2), 3))


def test_epochs_and_seeds_differ(records: Path) -> None:
    found = batches(data_of(records).stream(), 2 * STEPS)
    assert differ(found[:STEPS], found[STEPS:])
    assert differ(found, batches(data_of(records, seed=4).stream(), 2 * STEPS))
    # Not the order alone: a slice that comes again is varied otherwise.
    assert len({image.tobytes() for batch in found for image in batch["image"]}) > 32


def test_the_global_seed_does_not_count(records: Path) -> None:
    expected = batches(data_of(records).stream(), STEPS)
    tf.random.set_seed(7)
    try:
        check_equal(batches(data_of(records).stream(), STEPS), expected)
    finally:
        tf.random.set_seed(None)


@pytest.mark.parametrize("workers", [2, 6])
def test_workers_together_have_the_global_batch(records: Path, workers: int) -> None:
    data = data_of(records)
    parts = [
        batches(data.stream(step=3, worker=worker, workers=workers), STEPS)
        for worker in range(workers)
    ]
    joined = [
        {name: np.concatenate([part[name] for part in step]) for name in step[0]}
        for step in zip(*parts, strict=True)
    ]
    check_equal(joined, batches(data.stream(step=3), STEPS))


def test_nothing_else_shards_it(records: Path) -> None:
    policy = tf.data.experimental.AutoShardPolicy
    options = data_of(records).stream().options()
    assert options.experimental_distribute.auto_shard_policy == policy.OFF


@pytest.mark.parametrize("steps", [4, 30])
def test_an_epoch_has_the_shares_of_the_classes(records: Path, steps: int) -> None:
    sampling = Sampling(empty_share=0.2, max_copies=20)
    data = data_of(
        records, batch_size=8, steps_per_epoch=steps, sampling=sampling, augmentation=None
    )
    found = batches(data.stream(), 32 // steps * steps)
    rarest = [int(mask.max()) for batch in found for mask in batch["mask"]]
    shares = np.bincount(rarest, minlength=3) / len(rarest)
    np.testing.assert_allclose(shares, [0.2, 0.35, 0.45], atol=0.06)


def test_an_epoch_holds_every_slice_once_without_balancing(records: Path) -> None:
    data = data_of(
        records,
        batch_size=4,
        steps_per_epoch=8,
        sampling=Sampling(empty_share=0.4, max_copies=1.0),
        augmentation=None,
    )
    for epoch in range(3):
        places = [
            place
            for batch in batches(data.stream(epoch), 8)
            for place in zip(decode_case_ids(batch["case_id"]), batch["slice_index"], strict=True)
        ]
        assert len(places) == 32
        assert len(set(places)) >= 29  # a few fall to rounding, and others come twice


def test_targets_tell_where_a_slice_comes_from(records: Path) -> None:
    data = data_of(records, augmentation=None)
    stored = {(one.case_id, one.slice_index): one.mask for one in data.examples("train")}
    for batch in batches(data.stream(), STEPS):
        names = decode_case_ids(batch["case_id"])
        for name, index, mask in zip(names, batch["slice_index"], batch["mask"], strict=True):
            np.testing.assert_array_equal(mask, stored[name, index])


def test_a_training_takes_each_batch_once(records: Path) -> None:
    data = data_of(records, batch_size=4)
    seen: list[np.ndarray] = []

    class Watching(keras.Model):
        def train_step(self, inputs: tuple) -> dict:
            seen.append(inputs[1]["slice_index"].numpy())
            return {"loss": tf.constant(0.0)}

    model = Watching()
    model.compile("sgd", run_eagerly=True)
    model.fit(data.stream(1), steps_per_epoch=STEPS, initial_epoch=1, epochs=3, verbose=0)
    expected = [batch["slice_index"] for batch in batches(data.stream(1), 2 * STEPS)]
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epoch": -1}, "epoch and step: expected 0 or more, received -1 and 0"),
        ({"step": -1}, "epoch and step"),
        ({"worker": 2, "workers": 2}, "expected 0 <= worker < workers, received 2 and 2"),
        ({"workers": 0}, "worker and workers"),
        ({"workers": 4}, "expected a divisor of the batch size 6, received 4"),
    ],
)
def test_wrong_numbers_are_refused(records: Path, wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_of(records).stream(**wrong)


def test_left_out_cases_are_not_drawn(records: Path) -> None:
    data = data_of(records, leave_out=["volume-0"])
    assert data.trained_on == ("volume-1",)
    cases = {
        case_id
        for batch in batches(data.stream(), 2 * STEPS)
        for case_id in decode_case_ids(batch["case_id"])
    }
    assert cases == {"volume-1"}
    half = load(records, batch_size=4, leave_out=["volume-0"])
    assert half.steps_per_epoch == load(records, batch_size=4).steps_per_epoch // 2


@pytest.mark.parametrize("wrong", [["volume-2"], ["volume-0", "volume-1"], ["nobody"]])
def test_what_cannot_be_left_out_is_named(records: Path, wrong: list[str]) -> None:
    with pytest.raises(RecordError, match=f"leave_out: .*Received {', '.join(wrong)}"):
        load(records, leave_out=wrong)
