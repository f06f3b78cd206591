import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.records import SplitPlan, load, prepare
from tfkd.volumes import PreprocessSpec, window


def test_the_data_knows_what_a_network_needs(records: Path) -> None:
    data = load(records, batch_size=6)
    assert data.spec.input_shape == (32, 40, 1)
    assert data.label_names == ("background", "liver", "tumour")
    assert data.num_classes == 3
    assert data.steps_per_epoch == 5  # 32 slices
    assert load(records, steps_per_epoch=2).train.cardinality().numpy() == 2
    assert load(records, batch_size=100).steps_per_epoch == 1
    assert data.train is data.train


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
def test_a_model_fits_on_it(records: Path) -> None:
    data = load(records, batch_size=4, steps_per_epoch=3)
    model = keras.Sequential([keras.Input(data.spec.input_shape), keras.layers.Conv2D(3, 1)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(data.train, validation_data=data.validation, epochs=2, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()


def test_examples_are_the_stored_slices_and_match_the_batches(records: Path) -> None:
    data = load(records, batch_size=16)
    examples = list(data.examples("test"))
    assert [example.slice_index for example in examples] == list(range(16))
    image, mask = next(iter(data.test))
    windowed = window(np.stack([example.image_hu for example in examples]), data.spec)
    np.testing.assert_array_equal(image, windowed)
    np.testing.assert_array_equal(mask, np.stack([example.mask for example in examples]))
    assert {e.case_id for e in data.examples("train", "1")} == {"volume-1"}
    with pytest.raises(RecordError, match=r"volume-10 is not in split train.*volume-0, volume-1"):
        list(data.examples("train", 10))


def test_calibration_slices_are_stratified(records: Path) -> None:
    data = load(records)
    assert data.calibration(200).shape == (32, 32, 40, 1)
    nine = data.calibration(9)
    assert nine.dtype == np.float32
    # three groups in turn: with tumour, with liver only, empty; a tumour is darker than liver
    liver, tumour = (window(np.float32(hu), data.spec) for hu in (60, 20))
    has_liver = (np.abs(nine - liver) < 0.01).any((1, 2, 3))
    has_tumour = (np.abs(nine - tumour) < 0.01).any((1, 2, 3))
    assert (has_tumour.sum(), (has_liver & ~has_tumour).sum(), (~has_liver).sum()) == (3, 3, 3)
    np.testing.assert_array_equal(nine, load(records, seed=5).calibration(9))


def test_context_slices_become_channels(cohort: Path, tmp_path: Path) -> None:
    spec = PreprocessSpec(size=(16, 16), context_slices=1)
    split = SplitPlan(train=["0"], validation=["1"], test=0)
    prepare(cohort, tmp_path / "out", spec, split=split)
    data = load(tmp_path / "out", batch_size=16)
    image, _ = next(iter(data.validation))
    assert image.shape == (16, 16, 16, 3)
    np.testing.assert_array_equal(image[1:, ..., 0], image[:-1, ..., 1])
    np.testing.assert_array_equal(image[0, ..., 0], image[0, ..., 1])
    assert next(iter(data.train))[0].shape == (16, 16, 16, 3)
    assert data.calibration(4).shape == (4, 16, 16, 3)
    with pytest.raises(RecordError, match="split test of lits17 is empty"):
        _ = data.test


@pytest.fixture
def copy(records: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(records, tmp_path / "copy"))


def test_a_missing_shard_is_named(copy: Path) -> None:
    (copy / "lits17-train.tfrecord-00001-of-00002").unlink()
    with pytest.raises(RecordError, match=r"train\.tfrecord-00001-of-00002 is missing.*volume-1"):
        load(copy)


def test_a_cut_shard_is_noticed_at_once_and_a_changed_one_on_request(copy: Path) -> None:
    path = copy / "lits17-test.tfrecord-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    load(copy)
    with pytest.raises(RecordError, match=r"test\.tfrecord.* SHA-256"):
        load(copy, verify=True)
    path.write_bytes(content[:-1])
    with pytest.raises(RecordError, match=r"test\.tfrecord.*expected \d+ bytes"):
        load(copy)


def test_a_damaged_shard_is_named_where_it_is_read(copy: Path) -> None:
    path = copy / "lits17-train.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    data = load(copy)
    message = rf"{path.name} is damaged, with the cases volume-1 \(.*load\(verify=True\)"
    with pytest.raises(RecordError, match=message):
        list(data.examples("train"))
    with pytest.raises(RecordError, match=message):
        data.calibration()
    assert len(list(data.examples("train", 0))) == 16


def test_wrong_folders_and_sizes_are_refused(records: Path, tmp_path: Path) -> None:
    load(records, verify=True)
    with pytest.raises(RecordError, match=r"manifest\.json is missing"):
        load(tmp_path)
    for wrong in ({"batch_size": 0}, {"steps_per_epoch": 0}):
        with pytest.raises(ValueError, match="expected positive numbers"):
            load(records, **wrong)  # type: ignore[arg-type]
