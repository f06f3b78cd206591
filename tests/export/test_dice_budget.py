"""The smallest file within a budget of Dice, and what is done to get one there."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from tests.export.wide_ranges import CULPRIT, wide_student
from tfkd.errors import ExportError, TrainingError
from tfkd.export import dice_budget
from tfkd.export.dice_budget import choose_mode, fewest
from tfkd.export.mixed_int8 import MixedInt8
from tfkd.export.mode_measurements import StudentTask, file_cost
from tfkd.export.mode_row import ModeRow
from tfkd.export.synthetic import synthetic_slices
from tfkd.inference import Contract, LiteRTModel, Predictor

NAMES = ("background", "liver", "bone")


@pytest.fixture
def task_of(spec, ct_slices):
    return lambda student: StudentTask(student, ct_slices, spec, NAMES, threads=1)


@pytest.fixture(scope="module")
def score_against(spec):
    """Dice on a few slices whose truth is what the student without faults says."""
    slices_hu = synthetic_slices(spec, 6, noise_hu=10.0, seed=9)

    def against(truth, calls=None):
        masks = np.stack([truth.predict_slice(image) for image in slices_hu])

        def score(predictor, name):
            if calls is not None:
                calls.append(name)
            received = np.stack([predictor.predict_slice(image) for image in slices_hu])
            return {
                name: 2
                * ((masks == label) & (received == label)).sum()
                / ((masks == label).sum() + (received == label).sum())
                for label, name in enumerate(NAMES)
                if label
            }

        return score

    return against


@pytest.fixture
def truth(student, spec):
    from tfkd.export import keras_predictor

    return keras_predictor(student, spec, NAMES)


def _cost(path):
    return 1.0 + path.stat().st_size / 1e6, 1_000_000


def test_first_within_the_budget_wins_from_the_smallest(
    student, task_of, score_against, truth, tmp_path
):
    calls = []
    score = score_against(truth, calls)
    modes = ("float32", "int8", "dynamic_int8")
    choice = choose_mode(
        task_of(student), tmp_path, score, context="", max_dice_drop=3.0, modes=modes, cost=_cost
    )
    assert calls == ["Keras", choice.chosen.mode]
    sizes = {path.stem: path.stat().st_size for path in tmp_path.glob("*.tflite")}
    assert len(sizes) == 3
    assert sizes[choice.chosen.mode] == min(sizes.values()) == choice.chosen.size_bytes
    assert choice.chosen.within_budget
    assert Predictor(choice.path(choice.chosen)).check() == 1.0
    assert choice.chosen.mode in choice.reason


def test_all_modes_without_a_budget(student, task_of, score_against, truth, tmp_path):
    choice = choose_mode(task_of(student), tmp_path, score_against(truth), context="", cost=_cost)
    assert choice.chosen is None
    rows = {row.mode: row for row in choice.rows}
    assert next(iter(rows)) == "Keras"
    assert set(rows) == {"Keras", "float32", "float16", "dynamic_int8", "int8", "int16x8"}
    assert choice.rows[-1].mode == "int16x8"  # whatever its size, see below
    sizes = [row.size_bytes for row in choice.rows[1:-1]]
    assert sizes == sorted(sizes)
    for row in rows.values():
        assert row.within_budget is None
        assert abs(row.dice_drop) < 3
    assert rows["Keras"].dice == 1.0
    assert rows["float32"].dice_drop == 0


@pytest.mark.parametrize(
    ("modes", "all_modes", "measured", "chosen", "said"),
    [
        (
            ("float32", "int16x8"),
            True,
            ["float32", "int16x8"],
            "float32",
            "float32 is the smallest",
        ),
        (
            ("float32", "int16x8"),
            False,
            ["float32"],
            "float32",
            "float32 is the smallest",
        ),
        (("int16x8",), False, ["int16x8"], "int16x8", "tens of times longer"),
    ],
)
def test_the_format_of_accelerators_wins_only_where_no_other_does(
    student, task_of, score_against, truth, tmp_path, modes, all_modes, measured, chosen, said
):
    """It is a quarter of the size of float32, and a CPU takes tens of times longer for it."""
    choice = choose_mode(
        task_of(student),
        tmp_path,
        score_against(truth),
        context="",
        max_dice_drop=3.0,
        modes=modes,
        all_modes=all_modes,
        cost=_cost,
    )
    assert [row.mode for row in choice.rows[1:]] == measured
    assert choice.chosen.mode == chosen
    assert said in choice.reason


def test_an_int8_file_replaces_that_of_accelerators_whatever_its_size(
    make_student, task_of, score_against, truth, tmp_path, monkeypatch
):
    broken = wide_student(make_student)
    content = MixedInt8.content
    # Larger than the file in int16x8, which then is the smallest within the budget.
    monkeypatch.setattr(MixedInt8, "content", lambda *given: content(*given) + bytes(100_000))
    choice = choose_mode(
        task_of(broken),
        tmp_path,
        score_against(truth),
        context="",
        max_dice_drop=6.0,
        modes=("int8", "int16x8"),
        cost=_cost,
    )
    rows = {row.mode: row for row in choice.rows}
    assert rows["int16x8"].within_budget
    assert choice.chosen.mode == "int8_mixed_1"
    assert choice.chosen.size_bytes > rows["int16x8"].size_bytes
    assert "int8_mixed_1 is the smallest file for a CPU" in choice.reason
    assert "; int16x8, " in choice.reason


def test_the_worst_operators_stay_in_floating_point(
    make_student, task_of, score_against, truth, tmp_path
):
    broken = wide_student(make_student)
    choice = choose_mode(
        task_of(broken),
        tmp_path,
        score_against(truth),
        context="",
        max_dice_drop=3.0,
        modes=("int8",),
        cost=_cost,
    )
    keras, int8, mixed = choice.rows
    assert keras.dice > 0.99  # the student itself does its work
    assert int8.dice_drop > 10
    assert int8.within_budget is False
    assert CULPRIT in int8.note
    assert mixed == choice.chosen
    assert mixed.mode == "int8_mixed_1"
    assert mixed.dice_drop < 3
    assert CULPRIT in mixed.note
    assert f"plain int8 would lose {int8.dice_drop:.2f}" in choice.reason
    contract = Contract.load(choice.path(mixed))
    assert (contract.quantization, contract.input.dtype) == ("int8_mixed", "float32")
    assert LiteRTModel(choice.path(mixed)).input == contract.input


def test_as_few_features_as_will_do(student, task_of, score_against, truth, tmp_path, monkeypatch):
    class NeedsThree:
        """Says that there are twelve features, and leaves the worst one in floating point."""

        def __init__(self, student, slices):
            self.mixed = MixedInt8(student, slices)
            self.worst_first = self.mixed.worst_first * 3

        def content(self, features):
            tried.append(len(features))
            # Bytes at the end are nothing to LiteRT, but make another file of it.
            return self.mixed.content(features[:1]) + bytes(16 * len(features))

    tried = []
    monkeypatch.setattr(dice_budget, "MixedInt8", NeedsThree)
    good = score_against(truth)

    def score(predictor, name):
        bad = name == "int8" or (name.startswith("int8_mixed") and tried[-1] < 3)
        return dict.fromkeys(NAMES[1:], 0.5) if bad else good(predictor, name)

    choice = choose_mode(
        task_of(student),
        tmp_path,
        score,
        context="",
        max_dice_drop=3.0,
        modes=("int8",),
        cost=_cost,
    )
    assert tried == [1, 2, 4, 3]
    assert [row.mode for row in choice.rows[2:]] == [f"int8_mixed_{n}" for n in (1, 2, 4, 3)]
    assert choice.chosen.mode == "int8_mixed_3"


@pytest.mark.parametrize(
    ("limit", "good_from", "too_large_from", "found", "tried"),
    [
        (6, 3, 99, 3, [1, 2, 4, 3]),
        (6, 6, 99, 6, [1, 2, 4, 6, 5]),  # the limit is no power of two
        (6, 7, 99, None, [1, 2, 4, 6]),
        (6, 1, 99, 1, [1]),
        (1, 2, 99, None, [1]),
        (9, 3, 4, 3, [1, 2, 4, 3]),  # too large is not the end
        (9, 3, 3, None, [1, 2, 4, 3]),
        (9, 1, 1, None, [1]),
    ],
)
def test_fewest(limit, good_from, too_large_from, found, tried):
    counts = []

    def verdict(count):
        counts.append(count)
        return None if count >= too_large_from else count >= good_from

    assert fewest(limit, verdict) == found
    assert counts == tried


def test_fine_tuning_is_the_last_resort(
    make_student, student, task_of, score_against, truth, tmp_path, monkeypatch
):
    def refuse(*_):
        raise ExportError("no ranking today")

    monkeypatch.setattr(dice_budget, "MixedInt8", refuse)
    choice = choose_mode(
        task_of(wide_student(make_student)),
        tmp_path,
        score_against(truth),
        context="",
        max_dice_drop=3.0,
        modes=("int8",),
        fine_tune=lambda: student,
        cost=_cost,
    )
    assert [row.mode for row in choice.rows] == ["Keras", "int8", "int8_fine_tuned"]
    assert "no ranking today" in choice.rows[1].note
    assert choice.chosen.mode == "int8_fine_tuned"
    assert choice.path(choice.chosen).is_file()


def test_fine_tuning_is_not_done_in_vain(student, task_of, score_against, truth, tmp_path):
    def unwanted():
        raise AssertionError("fine-tuned")

    choose_mode(
        task_of(student),
        tmp_path,
        score_against(truth),
        context="",
        max_dice_drop=3.0,
        modes=("int8",),
        fine_tune=unwanted,
        cost=_cost,
    )


def test_fine_tuning_that_does_not_help(student, make_student, task_of, tmp_path, monkeypatch):
    def refuse(*_):
        raise ExportError("no ranking today")

    def diverge():
        raise TrainingError("not finite")

    def chosen(fine_tune, folder):
        choice = choose_mode(
            task_of(student),
            folder,
            lambda _, name: {"liver": dice[name]},
            context="",
            max_dice_drop=3.0,
            modes=("int8", "float32"),
            all_modes=True,
            fine_tune=fine_tune,
            fine_tune_note="Trained on.",
            cost=_cost,
        )
        assert choice.chosen.mode == "float32"
        return {row.mode: row for row in choice.rows}["int8_fine_tuned"], choice.reason

    dice = {"Keras": 1.0, "float32": 0.99, "int8": 0.5, "int8_fine_tuned": 0.6}
    monkeypatch.setattr(dice_budget, "MixedInt8", refuse)
    other = make_student()  # the same bytes would be the same file
    other.get_layer("head").bias.assign([0.1, 0.0, -4.8])
    row, reason = chosen(lambda: other, tmp_path / "over")
    assert (row.note, row.within_budget) == ("Trained on.", False)
    assert reason.endswith("1.00; plain int8 would lose 50.00, and 40.00 after training for it.")
    row, reason = chosen(diverge, tmp_path / "diverged")
    assert (row.note, row.size_bytes) == ("not finite", None)
    assert reason.endswith("plain int8 would lose 50.00.")


@pytest.mark.parametrize("kind", [ExportError, TrainingError, ValueError])
def test_fine_tuning_that_fails_is_a_row(kind):
    def fail():
        raise kind("add_1 is used 2 times")

    search = SimpleNamespace(rows=[], _export=None)
    dice_budget._Search.try_fine_tuned(search, fail, "Trained on.")
    assert search.rows == [ModeRow("int8_fine_tuned", note="add_1 is used 2 times")]


def test_none_within_the_budget(student, task_of, tmp_path):
    score = lambda predictor, name: {"liver": 1.0 if name == "Keras" else 0.9}  # noqa: E731
    choice = choose_mode(
        task_of(student),
        tmp_path,
        score,
        context="",
        max_dice_drop=0.5,
        modes=("float32",),
        cost=_cost,
    )
    assert choice.chosen is None
    assert choice.reason == "No file loses at most 0.5 points of Dice; float32 loses least, 10.00."


def test_a_format_that_cannot_be_made_says_why(
    make_student, task_of, score_against, truth, tmp_path
):
    import keras

    student = make_student(middle=keras.layers.GroupNormalization(2))
    choice = choose_mode(
        task_of(student),
        tmp_path,
        score_against(truth),
        context="",
        modes=("int8", "float32"),
        cost=_cost,
    )
    assert [row.mode for row in choice.rows] == ["Keras", "float32", "int8"]
    assert "SQUARE" in choice.rows[-1].note
    assert math.isnan(choice.rows[-1].dice_drop)


def test_an_interrupted_run_goes_on(student, task_of, score_against, truth, tmp_path):
    calls = []
    good = score_against(truth, calls)

    def interrupted(predictor, name):
        if name == "float16":
            raise KeyboardInterrupt
        return good(predictor, name)

    arguments = {"modes": ("float32", "float16"), "cost": _cost, "context": "a"}
    with pytest.raises(KeyboardInterrupt):
        choose_mode(task_of(student), tmp_path, interrupted, **arguments)
    assert calls == ["Keras", "float32"]
    first = choose_mode(task_of(student), tmp_path, good, **arguments)
    assert calls == ["Keras", "float32", "float16"]
    assert [row.mode for row in first.rows] == ["Keras", "float32", "float16"]


def test_a_damaged_note_is_measured_anew(student, task_of, score_against, truth, tmp_path):
    (tmp_path / "measured.json").write_text("{")
    calls = []
    score = score_against(truth, calls)
    choose_mode(task_of(student), tmp_path, score, context="", modes=("float32",), cost=_cost)
    assert len(calls) == 2
    assert len(json.loads((tmp_path / "measured.json").read_text())["cost"]) == 1


def test_time_and_memory_of_a_file(student, task_of, score_against, truth, tmp_path):
    choose_mode(
        task_of(student), tmp_path, score_against(truth), context="", modes=("float32",), cost=_cost
    )
    milliseconds, memory = file_cost(tmp_path / "float32.tflite", threads=1)
    assert 0 < milliseconds < 1000
    assert memory is None or 0 <= memory < 1e9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modes": ("int4",)}, "modes: expected some of .* received int4"),
        ({"modes": ()}, "received none"),
        ({"max_dice_drop": -1.0}, "max_dice_drop: expected points of Dice from 0 to 100"),
        ({"max_dice_drop": 101.0}, "received 101"),
    ],
)
def test_wrong_arguments(student, task_of, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        choose_mode(task_of(student), tmp_path, lambda *_: {"liver": 1.0}, context="", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_volumes_without_any_label(student, task_of, tmp_path):
    with pytest.raises(ValueError, match="Choose other volumes"):
        choose_mode(
            task_of(student), tmp_path, lambda *_: {"liver": math.nan}, context="", cost=_cost
        )
