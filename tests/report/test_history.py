"""CSVLogger files, whole and damaged."""

import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.report.history import read_history


def test_reads_losses_and_scores(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "epoch,focal_dice_loss,learning_rate,loss,slice_dice,val_loss,val_slice_dice\n"
        "0,0.5,0.01,1.5,0.2,1.6,NA\n1,0.4,0.01,1.2,0.4,1.3,0.35\n"
    )
    history = read_history(path, "student")
    assert history.losses == ("loss", "focal_dice_loss")
    assert history.scores == ("slice_dice",)
    np.testing.assert_array_equal(history.columns["val_slice_dice"], [np.nan, 0.35])
    assert "learning_rate" not in history.columns


def test_appended_and_cut_files(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,3\n1,2\nepoch,loss\n2,1\n3")
    np.testing.assert_array_equal(read_history(path, "x").columns["loss"], [3, 2, 1])


def test_errors_name_the_file(tmp_path):
    with pytest.raises(RecordError, match=r"none\.csv.*'student'"):
        read_history(tmp_path / "none.csv", "student")
    path = tmp_path / "odd.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(RecordError, match=r"odd\.csv.*'a', 'b'"):
        read_history(path, "student")


def test_reads_what_keras_writes(tmp_path):
    import keras

    path = tmp_path / "log.csv"
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(
        np.ones((4, 2)),
        np.ones((4, 1)),
        validation_split=0.5,
        epochs=2,
        verbose=0,
        callbacks=[keras.callbacks.CSVLogger(path)],
    )
    history = read_history(path, "mlp")
    assert set(history.losses) == {"loss", "mae"}
    assert all(len(values) == 2 for values in history.columns.values())
