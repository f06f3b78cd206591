import subprocess
import sys
from pathlib import Path

CODE = """
import itertools
import sys

import numpy as np
import tensorflow as tf

[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from tfkd.records import Augmentation, SharedRecords, load

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def shared(batch_size):
    varied = Augmentation(elastic=0.05, flip_left_right=True)
    data = load(
        sys.argv[1], batch_size=batch_size, steps_per_epoch=3, augmentation=varied, seed=3
    )
    return SharedRecords(data, strategy)


def parts(value):
    return [part.numpy() for part in strategy.experimental_local_results(value)]


# Training: the parts of both, one after the other, are the batch of a single process.
records = shared(6)
assert records.steps_per_epoch == 3
expected = records.data.stream(1, 2).as_numpy_iterator()
found = iter(records.stream(1, 2))
for _ in range(5):  # beyond the end of an epoch
    (image, targets), (shared_image, shared_targets) = next(expected), next(found)
    assert set(shared_targets) == {"mask", "case_id", "slice_index"}
    for name, value in {"image": image, **targets}.items():
        both = parts({"image": shared_image, **shared_targets}[name])
        assert [len(part) for part in both] == [3, 3], name
        np.testing.assert_array_equal(np.concatenate(both), value, err_msg=name)

# Validation: the parts of both, one after the other, are all slices in order.
for batch_size in (2, 3, 7, 16):
    records = shared(batch_size)
    images, masks = [], []
    for image, mask in records.validation:
        images += parts(image)
        masks += parts(mask)
    assert all(map(len, images)), batch_size
    for name, found, expected in zip(
        ("image", "mask"), (images, masks), zip(*records.data.validation), strict=True
    ):
        np.testing.assert_array_equal(
            np.concatenate(found), np.concatenate(expected), err_msg=f"{batch_size}: {name}"
        )

try:
    shared(5).stream()
except ValueError as error:
    assert "expected a multiple of the 2 replicas of the strategy, received 5" in str(error)
else:
    raise AssertionError("a batch size that cannot be shared out was taken")
"""


def test_two_replicas_together_get_what_a_single_process_draws(records: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", CODE, str(records)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
