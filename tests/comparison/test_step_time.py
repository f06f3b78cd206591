"""The time of a step."""

import pytest

from tfkd.comparison.runs import step_time
from tfkd.comparison.runs.step_time import StepTime


def timed(monkeypatch: pytest.MonkeyPatch, epochs: list[list[float]]) -> float | None:
    """Median for the given ends of steps, seconds."""
    ends = iter([end for epoch in epochs for end in epoch])
    monkeypatch.setattr(step_time.time, "perf_counter", lambda: next(ends))
    callback = StepTime()
    for number, epoch in enumerate(epochs):
        callback.on_epoch_begin(number)
        for step in range(len(epoch)):
            callback.on_train_batch_end(step)
    return callback.median_ms


def test_the_first_epoch_and_what_lies_between_epochs_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    epochs = [[0.0, 10.0, 20.0], [100.0, 101.0, 102.0, 104.0], [200.0, 203.0]]
    assert timed(monkeypatch, epochs) == pytest.approx(1500.0)  # of 1, 1, 2 and 3 s


def test_of_one_epoch_the_first_steps_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert timed(monkeypatch, [[0.0, 9.0, 18.0, 19.0, 20.0]]) == pytest.approx(1000.0)
    assert timed(monkeypatch, [[0.0, 9.0]]) is None
    assert timed(monkeypatch, []) is None
