"""A model that was kept is found again under its key, and is as it was."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd.cli.export_kept import keep_model, kept_model


@pytest.fixture
def model() -> keras.Model:
    image = keras.Input((4, 4, 1))
    return keras.Model(image, keras.layers.Conv2D(2, 1)(image))


def test_found_under_its_key_alone(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "kept.keras"
    assert kept_model(path, "a") is None
    keep_model(model, path, "a")
    assert kept_model(path, "b") is None
    found = kept_model(path, "a")
    assert found is not None
    for old, new in zip(model.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    keep_model(model, path, "b")
    assert kept_model(path, "a") is None
    assert kept_model(path, "b") is not None
    assert list(tmp_path.iterdir()) == [path]
    keras.saving.load_model(path)  # like any other file


def test_a_damaged_file_is_none(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "kept.keras"
    keep_model(model, path, "a")
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    assert kept_model(path, "a") is None
    start = len(content) // 4
    path.write_bytes(content[:start] + bytes(200) + content[start + 200 :])
    assert kept_model(path, "a") is None
    path.write_bytes(b"none")
    assert kept_model(path, "a") is None
