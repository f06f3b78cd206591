import json
from pathlib import Path

import pytest

from tfkd.records import Manifest
from tfkd.records.shards import MIN_SHARDS, plan_shards
from tfkd.volumes import sha256_of


@pytest.mark.parametrize(
    "sizes", [[], [5], [10] * 3, [10] * 40, [100, 1, 1, 1, 1, 1], [3, 1, 4] * 20]
)
@pytest.mark.parametrize("limit", [7, 50, 10**6])
def test_every_case_is_in_one_shard_in_order(sizes: list[int], limit: int) -> None:
    plan = plan_shards(sizes, limit)
    assert [i for shard in plan for i in shard] == list(range(len(sizes)))
    assert all(plan)


def test_shards_are_of_about_the_wanted_size() -> None:
    assert [len(shard) for shard in plan_shards([10] * 100, 100)] == [10] * 10
    assert [len(shard) for shard in plan_shards([10] * 16, 10**9)] == [2] * MIN_SHARDS


def test_shards_are_named_listed_and_summed(records: Path) -> None:
    manifest = Manifest.load(records)
    files = sorted(path.name for path in records.glob("*.tfrecord*"))
    assert files == [
        "lits17-test.tfrecord-00000-of-00001",
        "lits17-train.tfrecord-00000-of-00002",
        "lits17-train.tfrecord-00001-of-00002",
        "lits17-validation.tfrecord-00000-of-00001",
    ]
    assert files == sorted(shard.file for shard in manifest.shards)
    for shard in manifest.shards:
        assert shard.sha256 == sha256_of(records / shard.file)
        assert shard.size_bytes == (records / shard.file).stat().st_size


def test_tfds_metadata_describes_the_records(records: Path) -> None:
    info = json.loads((records / "dataset_info.json").read_text())
    lengths = {split["name"]: split["shardLengths"] for split in info["splits"]}
    assert lengths == {"train": ["16", "16"], "validation": ["16"], "test": ["16"]}
    assert (info["name"], info["fileFormat"]) == ("lits17", "tfrecord")
    features = json.loads((records / "features.json").read_text())["featuresDict"]["features"]
    image = features["image"]["image"]
    assert (image["shape"]["dimensions"], image["dtype"]) == (["32", "40", "1"], "uint16")
    assert set(features) == {
        "image",
        "segmentation",
        "case_id",
        "slice_index",
        "spacing_mm",
        "labels_present",
    }
