"""The CSV holds every epoch once, in the form that the report reads."""

import math

import keras
import numpy as np

from tests.callbacks.training import Data, make_model
from tfkd.callbacks import HistoryFile
from tfkd.report.history import read_history


def test_it_is_what_keras_writes(tmp_path):
    make_model().fit(
        Data().stream(),
        steps_per_epoch=2,
        epochs=2,
        validation_data=Data().validation,
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.CSVLogger(str(tmp_path / "keras.csv")),
            HistoryFile(tmp_path / "ours.csv"),
        ],
    )
    ours, theirs = ((tmp_path / f"{name}.csv").read_text() for name in ("ours", "keras"))
    assert ours.splitlines() == theirs.splitlines()


def test_epochs_that_are_trained_again_are_written_over(tmp_path):
    path = tmp_path / "run" / "history.csv"
    for rows, epochs in (([], (0, 1, 2)), ([{"loss": 0.0}], (1, 2))):
        callback = HistoryFile(path)
        callback.on_resume(rows)
        for epoch in epochs:
            callback.on_epoch_end(epoch, {"loss": epoch / 3})
    assert path.read_text().splitlines() == ["epoch,loss", "0,0.0", f"1,{1 / 3}", f"2,{2 / 3}"]
    assert [one.name for one in path.parent.iterdir()] == ["history.csv"]


def test_a_value_that_an_epoch_did_not_log(tmp_path):
    callback = HistoryFile(tmp_path / "history.csv")
    callback.on_epoch_end(0, {"loss": np.float32(0.5)})
    callback.on_epoch_end(1, {"loss": 0.25, "val_loss": math.inf})
    columns = read_history(callback.path, "run").columns
    np.testing.assert_array_equal(columns["val_loss"], [math.nan, math.inf])
    np.testing.assert_array_equal(columns["loss"], [0.5, 0.25])
