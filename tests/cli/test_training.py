"""What `tfkd train` and `tfkd distill` share."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfkd.cli import distill, train, training

SMALL = {"network": "UNet", "width": 0.05, "epochs": 1, "steps_per_epoch": 1, "batch_size": 2}


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[keras.Model]:
    """The networks that would have been trained."""
    networks: list[keras.Model] = []

    def fit(trained: Any, kept: keras.Model, *rest: Any) -> None:
        networks.append(kept)

    monkeypatch.setattr(training, "fit", fit)
    return networks


def test_plain_and_distilled_student_start_from_the_same_weights(
    records: Path, tmp_path: Path, fitted: list[keras.Model]
) -> None:
    teacher = tmp_path / "teacher.keras"
    for run, config in (
        (train.run, train.Config(records=records, out=tmp_path / "teacher", **SMALL)),
        (train.run, train.Config(records=records, out=tmp_path / "plain", seed=3, **SMALL)),
    ):
        run(config)
        fitted[0].save(teacher)
    distill.run(
        distill.Config(
            records=records, out=tmp_path / "distilled", teacher=(teacher,), seed=3, **SMALL
        )
    )
    _, plain, distilled = fitted
    for expected, weight in zip(plain.weights, distilled.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)
