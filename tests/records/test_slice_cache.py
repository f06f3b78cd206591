import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfkd.errors import RecordError
from tfkd.records import Augmentation, CTRecords, SliceCache, load, write_slice_cache

KEY = {"teacher": "abc"}


def compute(
    image: np.ndarray, mask: np.ndarray, case_ids: list[str], slice_index: np.ndarray
) -> dict[str, np.ndarray]:
    """The image at half the resolution, the mask one-hot, and two facts."""
    count, height, width, channels = image.shape
    blocks = image.reshape(count, height // 2, 2, width // 2, 2, channels)
    numbers = np.array([float(name.split("-")[1]) for name in case_ids])
    return {
        "half": blocks.mean((2, 4)),
        "one_hot": np.eye(3)[mask],
        "place": 1000 * numbers + slice_index,
        "shares": np.eye(3)[mask].mean((1, 2)),
    }


@pytest.fixture(scope="session")
def cache(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished cache of `compute`; not to be written to."""
    return write_slice_cache(load(records), tmp_path_factory.mktemp("cache"), compute, key=KEY)


@pytest.fixture
def copy(cache: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cache, tmp_path / "copy"))


def batches(data: CTRecords, count: int, **place: int) -> list[tuple[np.ndarray, dict]]:
    return list(itertools.islice(data.stream(**place).as_numpy_iterator(), count))


def test_what_was_computed_comes_with_its_slice(records: Path, cache: Path) -> None:
    data = load(records, batch_size=4, augmentation=None).with_cache(cache)
    specs = data.stream().element_spec[1]["cache"]
    assert {name: tuple(spec.shape) for name, spec in specs.items()} == {
        "half": (4, 16, 20, 1),
        "one_hot": (4, 32, 40, 3),
        "place": (4,),
        "shares": (4, 3),
    }
    for image, targets in batches(data, 16):
        case_ids = [bytes(row).rstrip(b"\0").decode() for row in targets["case_id"]]
        expected = compute(image, targets["mask"], case_ids, targets["slice_index"])
        for name, value in targets["cache"].items():
            assert value.dtype == np.float32
            np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("elastic", [0.0, 0.05])
def test_maps_move_with_the_slice_and_facts_stay(
    records: Path, cache: Path, elastic: float
) -> None:
    varied = Augmentation(flip_left_right=True, elastic=elastic)
    data = load(records, batch_size=8, augmentation=varied).with_cache(cache)
    for _, targets in batches(data, 4):
        labels = targets["cache"]["one_hot"].argmax(-1)
        assert np.mean(labels == targets["mask"]) > 0.97
        np.testing.assert_allclose(targets["cache"]["shares"].sum(-1), 1, rtol=1e-6)
        np.testing.assert_array_equal(targets["cache"]["place"] % 1000, targets["slice_index"])


def test_the_stream_is_otherwise_the_same(records: Path, cache: Path) -> None:
    data = load(records, batch_size=4)
    for (image, targets), (same, more) in zip(
        batches(data, 10), batches(data.with_cache(cache), 10), strict=True
    ):
        np.testing.assert_array_equal(image, same)
        assert set(more) == {*targets, "cache"}
        for name in targets:
            np.testing.assert_array_equal(targets[name], more[name])


def test_it_is_resumed_and_shared_out_as_the_slices_are(records: Path, cache: Path) -> None:
    data = load(records, batch_size=4, augmentation=Augmentation(elastic=0.05)).with_cache(cache)
    whole = batches(data, 12)[9:]
    parts = [batches(data, 3, epoch=1, step=1, worker=i, workers=2) for i in range(2)]
    for (_, expected), *own in zip(whole, *parts, strict=True):
        for name, value in expected["cache"].items():
            joined = np.concatenate([targets["cache"][name] for _, targets in own])
            np.testing.assert_array_equal(joined, value)


def test_train_and_validation_stay_as_they_are(records: Path, cache: Path) -> None:
    data = load(records, batch_size=4).with_cache(cache)
    assert len(data.train.element_spec) == len(data.validation.element_spec) == 2


def test_its_facts_survive_the_round_trip(cache: Path) -> None:
    found = SliceCache.load(cache)
    assert found.key == KEY
    assert found.folder == cache
    assert found.arrays["half"].shape == (16, 20, 1)
    assert found.arrays["half"].dtype == "float16"
    assert found.arrays["place"].shape == ()
    assert found.arrays["place"].dtype == "float32"


def test_a_batch_of_unknown_size_is_decoded(cache: Path) -> None:
    found = SliceCache.load(cache)
    file = str(cache / found.shards[0].file)
    dataset = tf.data.TFRecordDataset(file).batch(7).map(found.decode)
    sizes = [(len(batch["place"]), batch["half"].shape[1:]) for batch in dataset]
    assert sizes == [(7, (16, 20, 1)), (7, (16, 20, 1)), (2, (16, 20, 1))]


def test_a_cache_of_other_records_is_refused(records: Path, copy: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(records, tmp_path / "other"))
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(RecordError, match="a slice cache of other records"):
        load(other).with_cache(copy)


def test_missing_and_damaged_files_are_named(records: Path, copy: Path) -> None:
    data = load(records)
    path = copy / "lits17-train.tfrecord-00001-of-00002"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    sizes = f"expected {len(content)} bytes, received {len(content) - 1}"
    with pytest.raises(RecordError, match=rf"{path.name} is missing or damaged: {sizes}"):
        data.with_cache(copy)
    path.unlink()
    with pytest.raises(RecordError, match=rf"{path.name} is missing or damaged.*received 0"):
        data.with_cache(copy)


def test_a_changed_file_is_noticed_on_request(records: Path, copy: Path) -> None:
    data = load(records)
    data.with_cache(copy, verify=True)
    path = copy / "lits17-train.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    data.with_cache(copy)
    with pytest.raises(RecordError, match=rf"{path.name} is damaged: its SHA-256"):
        data.with_cache(copy, verify=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", r"not the facts of a slice cache \(KeyError"),
        ("nonsense", "not the facts of a slice cache"),
        ('{"schema_version": 9}', "expected schema version 1, received 9"),
        (None, r"cache\.json is missing.*`write_slice_cache` has finished"),
    ],
)
def test_damaged_facts_are_refused(
    records: Path, copy: Path, content: str | None, message: str
) -> None:
    path = copy / "cache.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecordError, match=message):
        load(records).with_cache(copy)
