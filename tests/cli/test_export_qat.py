"""Training for int8: it reads the training split, changes no student, and is not done twice."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd import records as ct_records
from tfkd.cli.export_qat import describe_training, train_for_int8
from tfkd.export import is_quantization_aware
from tfkd.records import CTRecords


@pytest.fixture
def own_data(records: Path, tmp_path: Path) -> CTRecords:
    """Records of which only the training split is still there."""
    folder = Path(shutil.copytree(records, tmp_path / "records"))
    data = ct_records.load(folder)
    for split in ("validation", "test"):
        shards = data.manifest.shards_of(split)
        assert shards
        for shard in shards:
            (folder / shard.file).unlink()
    return data


def _state(model: keras.Model) -> list[np.ndarray]:
    flags = [layer.trainable for layer in model.layers]
    flags += [weight.trainable for weight in model.weights]
    return [np.array(flags), *(np.array(weight) for weight in model.get_weights())]


def test_the_student_stays_and_the_training_is_kept(
    own_data: CTRecords,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    student = keras.saving.load_model(models / "fitting.keras")
    calibration = own_data.calibration(4)
    path = tmp_path / "modes" / "int8_fine_tuned.keras"
    before = _state(student)
    aware = train_for_int8(student, calibration, own_data, 1, 0, path)
    for old, new in zip(before, _state(student), strict=True):
        np.testing.assert_array_equal(old, new)
    assert "No int8 file that would be the smallest is within the budget." in (
        capsys.readouterr().out
    )
    assert [kept.name for kept in path.parent.iterdir()] == [path.name]

    def refuse(*_, **__):
        raise InterruptedError

    monkeypatch.setattr("tfkd.export.quantization_aware", refuse)
    again = train_for_int8(student, calibration, own_data, 1, 0, path)
    assert str(path) in capsys.readouterr().out
    assert is_quantization_aware(again)
    for old, new in zip(aware.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # Whatever it depends on is another one: another training.
    with pytest.raises(InterruptedError):
        train_for_int8(student, calibration, own_data, 2, 0, path)
    with pytest.raises(InterruptedError):
        train_for_int8(student, calibration, own_data, 1, 1, path)
    with pytest.raises(InterruptedError):
        train_for_int8(student, calibration + 0.1, own_data, 1, 0, path)
    student.layers[-1].bias.assign(student.layers[-1].bias + 0.1)
    with pytest.raises(InterruptedError):
        train_for_int8(student, calibration, own_data, 1, 0, path)


def test_the_loss_is_named(records: Path) -> None:
    said = describe_training(ct_records.load(records), 1, 3)
    assert said.startswith("Trained on with int8's rounding: 1 epoch of 3 steps on the training")
    assert "FocalDice with its default arguments, whatever loss trained the student" in said
    assert "seed 3" in said
