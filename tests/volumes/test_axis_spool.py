"""An array whose axes are turned on disk."""

import itertools
import tracemalloc

import numpy as np
import pytest

from tfkd.volumes import axis_spool
from tfkd.volumes.axis_spool import AxisSpool

ARRAY = np.arange(7 * 5 * 40, dtype=np.int16).reshape(7, 5, 40)


@pytest.mark.parametrize("block_bytes", [1, 200, 1000, 2**25])
@pytest.mark.parametrize(("write_axis", "read_axis"), [*itertools.permutations(range(3), 2)])
def test_reads_what_was_written(write_axis, read_axis, block_bytes, monkeypatch):
    monkeypatch.setattr(axis_spool, "_BLOCK_BYTES", block_bytes)
    with AxisSpool(ARRAY.shape, ARRAY.dtype, write_axis, read_axis) as spool:
        for plane in np.moveaxis(ARRAY, write_axis, 0):
            spool.append(plane)
        for start, stop in ((0, 2), (1, 5), (3, 4), (0, ARRAY.shape[read_axis])):
            expected = ARRAY.take(range(start, stop), axis=read_axis)
            np.testing.assert_array_equal(spool.read(start, stop), expected)


def test_nothing_is_read_before_all_is_written():
    with AxisSpool(ARRAY.shape, ARRAY.dtype, 2, 0) as spool:
        spool.append(ARRAY[..., 0])
        with pytest.raises(ValueError, match="expected 40 planes to be written, received 1"):
            spool.read(0, 1)


@pytest.mark.parametrize("read_axis", [0, 1])
def test_memory_of_writing_is_that_of_one_block(read_axis, monkeypatch):
    monkeypatch.setattr(axis_spool, "_BLOCK_BYTES", 2**20)
    plane = np.ones((256, 256), np.int16)
    with AxisSpool((256, 256, 32), plane.dtype, 2, read_axis) as spool:
        tracemalloc.start()
        try:
            for _ in range(32):
                spool.append(plane.copy())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert spool.read(0, 1).all()
    assert peak < 1.5 * 2**20
