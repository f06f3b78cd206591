from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfkd.records import Augmentation, Manifest, Sampling
from tfkd.records.pipeline import evaluation_dataset, training_dataset, window_tf
from tfkd.records.slice_sampler import TrainingPlan
from tfkd.volumes import PreprocessSpec, window


def plan(**changes: object) -> TrainingPlan:
    facts = {"batch_size": 4, "steps": 8, "sampling": Sampling(), "augmentation": None, "seed": 0}
    return TrainingPlan(**{**facts, **changes})  # type: ignore[arg-type]


def batches(dataset: tf.data.Dataset) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(image.numpy(), mask.numpy()) for image, mask in dataset]


def same(one: list, other: list) -> bool:
    return all(
        np.array_equal(a, b)
        for x, y in zip(one, other, strict=True)
        for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize(
    "spec",
    [
        PreprocessSpec(),
        PreprocessSpec(window_hu=(-200.0, 300.0), output_range=(0.0, 1.0)),
        PreprocessSpec(window_hu=(-17.3, 211.9), output_range=(-0.7, 2.1)),
    ],
)
def test_tensorflow_and_numpy_window_alike(spec: PreprocessSpec) -> None:
    hu = np.arange(-1024, 3072, dtype=np.int16)
    np.testing.assert_array_equal(window_tf(tf.constant(hu), spec).numpy(), window(hu, spec))
    in_graph = tf.function(lambda x: window_tf(x, spec))(tf.constant(hu)).numpy()
    np.testing.assert_array_equal(in_graph, window(hu, spec))


def test_training_batches_are_static_and_counted(records: Path) -> None:
    dataset = training_dataset(Manifest.load(records), records, plan(augmentation=Augmentation()))
    image, mask = dataset.element_spec
    assert (image.shape, image.dtype) == ((4, 32, 40, 1), tf.float32)
    assert (mask.shape, mask.dtype) == ((4, 32, 40), tf.int32)
    assert dataset.cardinality().numpy() == 8
    found = batches(dataset)
    assert len(found) == 8
    assert all(image.min() >= -1 and image.max() <= 1 for image, _ in found)


def test_equal_seeds_give_equal_epochs_and_epochs_differ(records: Path) -> None:
    manifest = Manifest.load(records)
    varied = plan(augmentation=Augmentation(), seed=3)
    one, other = (training_dataset(manifest, records, varied) for _ in range(2))
    first, second = batches(one), batches(one)
    assert same(first, batches(other))
    assert same(second, batches(other))
    assert not same(first, second)
    changed = training_dataset(manifest, records, plan(augmentation=Augmentation(), seed=4))
    assert not same(first, batches(changed))


@pytest.mark.parametrize("steps", [4, 30])
def test_classes_and_empty_slices_have_their_shares(records: Path, steps: int) -> None:
    wanted = Sampling(empty_share=0.2, max_copies=20)
    dataset = training_dataset(Manifest.load(records), records, plan(steps=steps, sampling=wanted))
    rarest = [
        int(mask.max())
        for _ in range(32 // steps)
        for _, masks in batches(dataset)
        for mask in masks
    ]
    shares = np.bincount(rarest, minlength=3) / len(rarest)
    # 14 slices with liver alone, 4 with a tumour: 14 / 18 to 4 / 4
    np.testing.assert_allclose(shares, [0.2, 0.35, 0.45], atol=0.06)


def test_without_balancing_every_slice_comes_once_an_epoch(records: Path) -> None:
    dataset = training_dataset(
        Manifest.load(records), records, plan(sampling=Sampling(empty_share=0.4, max_copies=1.0))
    )
    images = {image.tobytes() for image, _ in batches(dataset.unbatch().batch(1))}
    # 18 slices show the liver, the others all look the same; one may fall to rounding.
    assert len(images) in (18, 19)


def test_image_and_mask_belong_together_through_all_steps(records: Path) -> None:
    """In the cohort, liver and tumour are bright and everything else lies below the window."""
    dataset = training_dataset(
        Manifest.load(records),
        records,
        plan(augmentation=Augmentation(intensity_shift_hu=0.0, contrast=(1.0, 1.0))),
    )
    for images, masks in batches(dataset):
        bright = images[..., 0] > -0.3
        assert np.mean(bright != (masks > 0)) < 0.04  # edges, at this size


def test_evaluation_is_complete_ordered_and_unaltered(records: Path) -> None:
    manifest = Manifest.load(records)
    dataset = evaluation_dataset(manifest, records, "validation", batch_size=5)
    found = batches(dataset)
    assert [len(image) for image, _ in found] == [4, 4, 4, 4]
    assert dataset.cardinality().numpy() == 4
    labels = [tuple(np.unique(mask[mask > 0]).tolist()) for _, masks in found for mask in masks]
    assert tuple(labels) == manifest.case("2").labels_per_slice
    assert same(found, batches(dataset))


def test_files_are_shared_out_to_training_workers(records: Path) -> None:
    manifest = Manifest.load(records)
    policy = tf.data.experimental.AutoShardPolicy
    training = training_dataset(manifest, records, plan()).options()
    assert training.experimental_distribute.auto_shard_policy == policy.FILE
    evaluation = evaluation_dataset(manifest, records, "test", 4).options()
    assert evaluation.experimental_distribute.auto_shard_policy == policy.OFF


@pytest.mark.parametrize("batch_size", [1, 3, 5, 7, 15, 16, 99])
def test_evaluation_batches_are_of_nearly_equal_size(records: Path, batch_size: int) -> None:
    dataset = evaluation_dataset(Manifest.load(records), records, "validation", batch_size)
    sizes = [len(image) for image, _ in dataset]
    assert sum(sizes) == 16
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-16 // batch_size)
