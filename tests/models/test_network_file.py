"""A network's file says what it was trained on, wherever it is copied."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest

from tfkd.models import as_float32, facts_of, load_network, save_network, set_facts
from tfkd.volumes import DataFacts, PreprocessSpec

FACTS = DataFacts(PreprocessSpec(size=(8, 8)), ("background", "liver", "tumour"))
OTHER = DataFacts(PreprocessSpec(size=(8, 8), window_hu=(0, 80)), FACTS.label_names)


BIG = json.dumps(FACTS.to_dict()).replace("-60.0", "-1" + "0" * 400)


def network(dtype=None, classes=3):
    image = keras.Input((8, 8, 1), name="image")
    norm = keras.layers.BatchNormalization(dtype=dtype)(image)
    return keras.Model(image, keras.layers.Conv2D(classes, 1, dtype=dtype)(norm), name="tiny")


def test_a_copied_file_still_knows(tmp_path):
    model = network()
    save_network(model, tmp_path / "a.keras", FACTS)
    assert facts_of(model) is None  # saving changes no network
    shutil.copy(tmp_path / "a.keras", tmp_path / "copy.keras")
    loaded = load_network(tmp_path / "copy.keras")
    assert facts_of(loaded) == FACTS
    for weight, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_plain_keras_writes_it_and_reads_the_rest(tmp_path):
    model = network()
    set_facts(model, FACTS)
    model.save(tmp_path / "plain.keras")
    assert facts_of(load_network(tmp_path / "plain.keras")) == FACTS
    plain = keras.saving.load_model(tmp_path / "plain.keras")
    assert facts_of(plain) is None
    plain.save(tmp_path / "again.keras")  # forgotten, and no error
    assert facts_of(load_network(tmp_path / "again.keras")) is None


def test_nothing_in_the_file_needs_the_library(tmp_path):
    save_network(network(), tmp_path / "a.keras", FACTS)
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert b"tfkd" not in archive.read("config.json")


def test_a_network_saved_again_keeps_it(tmp_path):
    model = network("mixed_float16")
    set_facts(model, FACTS)
    assert facts_of(as_float32(model)) == FACTS
    save_network(model, tmp_path / "a.keras")
    loaded = load_network(tmp_path / "a.keras")
    assert facts_of(loaded) == FACTS
    save_network(loaded, tmp_path / "b.keras")
    assert facts_of(load_network(tmp_path / "b.keras")) == FACTS
    save_network(loaded, tmp_path / "c.keras", OTHER)
    assert facts_of(load_network(tmp_path / "c.keras")) == OTHER


def test_facts_can_be_forgotten(tmp_path):
    model = network()
    set_facts(model, None)
    set_facts(model, FACTS)
    set_facts(model, None)
    assert facts_of(model) is None
    save_network(model, tmp_path / "a.keras")
    assert facts_of(load_network(tmp_path / "a.keras")) is None


def test_facts_of_another_network_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"3 classes .* Received 'tiny' .* and 2 classes"):
        set_facts(network(classes=2), FACTS)
    spec = PreprocessSpec(size=(16, 16), context_slices=1)
    with pytest.raises(ValueError, match=r"\(16, 16, 3\)"):
        save_network(network(), tmp_path / "a.keras", DataFacts(spec, FACTS.label_names))
    assert not (tmp_path / "a.keras").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 2}', "[" * 100_000, "\xff", BIG, " " * 2_000_000]
)
def test_facts_that_cannot_be_read_are_no_silent_loss(tmp_path, text):
    path = tmp_path / "a.keras"
    network().save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/tfkd.json", text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.keras: Expected in assets/tfkd\.json"):
        load_network(path)
