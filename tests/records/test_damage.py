"""A damaged shard is named whoever reads it, and no bit changes a slice in silence."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfkd
from tfkd.callbacks import fit_resumable
from tfkd.errors import RecordError
from tfkd.records import load
from tfkd.records.damage import naming_damage_in


@pytest.fixture
def copy(records: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(records, tmp_path / "copy"))


def flip(path: Path, byte: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


def student(data) -> keras.Model:
    image = keras.Input(data.spec.input_shape)
    return keras.Model(image, keras.layers.Conv2D(data.num_classes, 1)(image))


@pytest.fixture
def damaged(copy: Path) -> tuple[Path, str]:
    """Records with a flipped bit in the second training shard, and what is to be said of it."""
    path = copy / "lits17-train.tfrecord-00001-of-00002"
    flip(path, path.stat().st_size // 2)
    return copy, rf"{path.name} is damaged, with the cases volume-1: its SHA-256"


def test_in_a_training(damaged, tmp_path):
    folder, message = damaged
    data = load(folder, batch_size=4, steps_per_epoch=20)
    model = student(data)
    distiller = tfkd.Distiller(None, model)
    distiller.compile("sgd", tfkd.losses.FocalDice())
    with pytest.raises(RecordError, match=message):
        distiller.fit(data.train, epochs=2, verbose=0)
    with pytest.raises(RecordError, match=message):
        fit_resumable(distiller, data, 2, folder=tmp_path / "run", verbose=0)


def test_in_validation(copy):
    (path,) = copy.glob("*-validation.tfrecord*")
    flip(path, path.stat().st_size - 9)
    data = load(copy, batch_size=4, steps_per_epoch=1)
    distiller = tfkd.Distiller(None, student(data))
    distiller.compile("sgd", tfkd.losses.FocalDice())
    with pytest.raises(RecordError, match=rf"{path.name} is damaged, with the cases volume-"):
        distiller.fit(data.train, validation_data=data.validation, verbose=0)
    with pytest.raises(RecordError, match=rf"{path.name} is damaged, with the cases volume-"):
        distiller.evaluate(data.validation, verbose=0)


def test_an_error_of_other_data_stays_what_it_is():
    with pytest.raises(tf.errors.DataLossError), naming_damage_in(np.zeros(3)):
        raise tf.errors.DataLossError(None, None, "not of records")


def test_no_bit_changes_a_slice_in_silence(copy):
    (path,) = copy.glob("*-test.tfrecord*")
    whole = path.read_bytes()
    expected = [(e.image_hu.copy(), e.mask.copy()) for e in load(copy).examples("test")]
    generator = np.random.default_rng(0)
    for byte in (0, 8, 11, 12, *generator.integers(len(whole), size=40)):
        flip(path, int(byte), int(generator.integers(8)))
        with pytest.raises(RecordError, match=path.name):
            list(load(copy).examples("test"))
        path.write_bytes(whole)
    for (image, mask), example in zip(expected, load(copy).examples("test"), strict=True):
        np.testing.assert_array_equal(image, example.image_hu)
        np.testing.assert_array_equal(mask, example.mask)
