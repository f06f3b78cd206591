import json
import re
import shutil
import time
from collections import namedtuple
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.records import CTRecords, load, write_slice_cache

KEY = {"teacher": "abc", "losses": ["kd"]}
Arrays = Mapping[str, np.ndarray]


class Recorder:
    """Returns small arrays, remembers what it got, and fails at a given call."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at = fail_at
        self.calls: list[tuple] = []

    def __call__(self, image: Any, mask: Any, case_ids: Any, slice_index: Any) -> Arrays:
        if len(self.calls) == self.fail_at:
            raise KeyboardInterrupt
        self.calls.append((image, mask, case_ids, slice_index))
        return {"map": image[:, :4, :4], "fact": image.mean((1, 2, 3))}


@pytest.fixture
def data(records: Path) -> CTRecords:
    return load(records)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_slice_is_computed_once_in_order_and_unvaried(
    data: CTRecords, tmp_path: Path
) -> None:
    recorder = Recorder()
    write_slice_cache(data, tmp_path / "cache", recorder, key=KEY, batch_size=5)
    assert [len(call[2]) for call in recorder.calls] == [5, 5, 5, 1] * 2  # never across shards
    images, masks, case_ids, slice_index = (
        np.concatenate([call[i] for call in recorder.calls]) for i in range(4)
    )
    stored = list(data.examples("train"))
    assert case_ids.tolist() == [one.case_id for one in stored]
    assert slice_index.tolist() == [one.slice_index for one in stored]
    np.testing.assert_array_equal(masks, [one.mask for one in stored])
    assert (images.dtype, masks.dtype) == (np.float32, np.int32)
    assert (images.min(), images.max()) == (-1, pytest.approx(0.2))  # -60 to 140 HU, liver 60


def test_a_finished_cache_is_returned_at_once(data: CTRecords, tmp_path: Path) -> None:
    write_slice_cache(data, tmp_path, Recorder(), key=KEY)
    before = contents(tmp_path)
    assert set(before) == {
        ".lock",
        "cache.json",
        "lits17-train.tfrecord-00000-of-00002",
        "lits17-train.tfrecord-00001-of-00002",
    }
    again = Recorder()
    assert write_slice_cache(data, tmp_path, again, key={**KEY, "losses": ("kd",)}) == tmp_path
    assert not again.calls
    assert contents(tmp_path) == before


def test_a_finished_cache_of_something_else_is_kept(
    data: CTRecords, records: Path, tmp_path: Path
) -> None:
    folder = write_slice_cache(data, tmp_path / "cache", Recorder(), key=KEY)
    before = contents(folder)
    message = r"teacher: expected 'xyz', received 'abc'\. Remove the folder or choose another"
    with pytest.raises(RecordError, match=message):
        write_slice_cache(data, folder, Recorder(), key={**KEY, "teacher": "xyz"})
    other = Path(shutil.copytree(records, tmp_path / "other"))
    (other / "manifest.json").write_text((other / "manifest.json").read_text() + "\n")
    with pytest.raises(RecordError, match="SHA-256 of the records' manifest: expected"):
        write_slice_cache(load(other), folder, Recorder(), key=KEY)
    assert contents(folder) == before


def test_an_interrupted_run_is_continued(data: CTRecords, tmp_path: Path) -> None:
    whole = write_slice_cache(data, tmp_path / "whole", Recorder(), key=KEY, batch_size=5)
    folder = tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        write_slice_cache(data, folder, Recorder(fail_at=6), key=KEY, batch_size=5)
    with pytest.raises(RecordError, match=r"cache\.json is missing.*It was begun"):
        data.with_cache(folder)
    second = Recorder()
    reports: list[tuple[int, int, str]] = []
    write_slice_cache(
        data,
        folder,
        second,
        key=KEY,
        batch_size=5,
        progress=lambda done, total, text: reports.append((done, total, text)),
    )
    assert [call[2][0] for call in second.calls] == ["volume-1"] * 4
    assert contents(folder) == contents(whole)
    assert [report[:2] for report in reports] == [(21, 32), (26, 32), (31, 32), (32, 32)]
    assert all(text.startswith("volume-1, 0.0 MB in all") for _, _, text in reports)


def test_a_second_writer_waits_for_the_first(data: CTRecords, tmp_path: Path) -> None:
    recorder = Recorder()
    deadline = time.monotonic() + 20

    def slow(*batch: Any) -> Arrays:
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
        return recorder(*batch)

    def write(_: int) -> Path:
        return write_slice_cache(data, tmp_path, slow, key=KEY)

    waiting = f"{re.escape(str(tmp_path))}: waiting for another process"
    with ThreadPoolExecutor(2) as pool, pytest.warns(UserWarning, match=waiting) as said:
        assert list(pool.map(write, range(2))) == [tmp_path] * 2
    assert sum(len(call[2]) for call in recorder.calls) == 32
    data.with_cache(tmp_path, verify=True)


def test_a_finished_cache_needs_no_write_permission(data: CTRecords, tmp_path: Path) -> None:
    folder = write_slice_cache(data, tmp_path / "cache", Recorder(), key=KEY)
    (folder / ".lock").unlink()
    write_slice_cache(data, folder, Recorder(), key=KEY)
    assert not (folder / ".lock").exists()


def test_a_damaged_shard_of_the_records_is_named(records: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(records, tmp_path / "copy"))
    path = copy / "lits17-train.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordError, match=rf"{path.name} is damaged, with the cases volume-1 "):
        write_slice_cache(load(copy), tmp_path / "cache", Recorder(), key=KEY)


def test_unfinished_work_of_another_key_starts_over(data: CTRecords, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_slice_cache(data, tmp_path, Recorder(fail_at=3), key=KEY)
    second = Recorder()
    write_slice_cache(data, tmp_path, second, key={"teacher": "xyz"})
    assert len(second.calls) == 4
    assert json.loads((tmp_path / "cache.json").read_text())["key"] == {"teacher": "xyz"}


def test_a_finished_shard_that_was_lost_is_written_again(data: CTRecords, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_slice_cache(data, tmp_path, Recorder(fail_at=2), key=KEY)
    (tmp_path / "lits17-train.tfrecord-00000-of-00002").unlink()
    write_slice_cache(data, tmp_path, Recorder(), key=KEY)
    data.with_cache(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("map", 70000.0, "expected finite numbers up to 65504, as float16 .*received 70000"),
        ("map", np.nan, "expected finite numbers.* received nan"),
        ("fact", np.nan, "expected finite numbers.* as float32 .* received nan"),
        ("fact", -np.inf, "expected finite numbers.* received -inf"),
    ],
)
def test_numbers_that_cannot_be_kept_are_refused(
    data: CTRecords, tmp_path: Path, name: str, value: float, message: str
) -> None:
    def compute(*batch: Any) -> Arrays:
        arrays = Recorder()(*batch)
        arrays[name][(batch[3] == 9) & (np.array(batch[2]) == "volume-1")] = value
        return arrays

    with pytest.raises(RecordError, match=f"array '{name}' of case volume-1, slice 9: {message}"):
        write_slice_cache(data, tmp_path, compute, key=KEY)


def test_a_fact_may_be_beyond_half_precision(data: CTRecords, tmp_path: Path) -> None:
    folder = write_slice_cache(
        data, tmp_path, lambda *batch: {"large": np.full(len(batch[0]), 70001.0)}, key=KEY
    )
    _, targets = next(iter(data.with_cache(folder).stream()))
    np.testing.assert_array_equal(targets["cache"]["large"], np.full(8, 70001.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: {}, "volume-0, slice 0: expected at least one, received none"),
        (lambda arrays: {"a": arrays["fact"][:1]}, r"'a' of case volume-0: expected shape \(5, "),
        (lambda arrays: {"a": np.float32(1)}, r"expected shape \(5, \.\.\.\).*received \(\)"),
        (lambda arrays: {"a": arrays["map"][..., None]}, r"at most 4 axes"),
    ],
)
def test_arrays_must_have_a_row_for_each_slice(
    data: CTRecords, tmp_path: Path, change: Any, message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        write_slice_cache(
            data, tmp_path, lambda *batch: change(Recorder()(*batch)), key=KEY, batch_size=5
        )


@pytest.mark.parametrize("change", [{"map": np.zeros((8, 2, 2, 1))}, {"more": np.zeros(8)}])
def test_names_and_shapes_must_not_change(
    data: CTRecords, tmp_path: Path, change: dict[str, np.ndarray]
) -> None:
    def compute(*batch: Any) -> Arrays:
        return {**Recorder()(*batch), **(change if batch[2][0] == "volume-1" else {})}

    message = r"volume-1, slice 0: expected .*\(4, 4, 1\).* as before, received"
    with pytest.raises(RecordError, match=message):
        write_slice_cache(data, tmp_path, compute, key=KEY)


def test_a_full_disk_is_noticed_before_writing(
    data: CTRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 2000, 2000))
    recorder = Recorder()
    with pytest.raises(RecordError, match=r"MB of free space for the slice cache, received 0\.0"):
        write_slice_cache(data, tmp_path, recorder, key=KEY)
    assert len(recorder.calls) == 1


def test_the_estimate_is_the_size_on_disk(
    data: CTRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_slice_cache(data, tmp_path / "cache", Recorder(), key=KEY)
    size = sum(path.stat().st_size for path in folder.glob("*.tfrecord-*"))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, size))
    write_slice_cache(data, tmp_path / "fits", Recorder(), key=KEY)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, size - 1))
    with pytest.raises(RecordError, match="free space"):
        write_slice_cache(data, tmp_path / "does not", Recorder(), key=KEY)


def test_wrong_arguments_are_refused(data: CTRecords, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size: expected a positive number, received 0"):
        write_slice_cache(data, tmp_path, Recorder(), key=KEY, batch_size=0)
    with pytest.raises(RecordError, match="expected a folder for the slice cache alone"):
        write_slice_cache(data, data.folder, Recorder(), key=KEY)
