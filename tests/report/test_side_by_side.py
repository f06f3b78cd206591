"""Order, ratios, the gap closed and the text table."""

import dataclasses

import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.evaluation import Evaluation, ModelInfo
from tfkd.metrics import CaseRow, CaseTable
from tfkd.report import format_table, gap_closed, order_rows
from tfkd.report.numbers import bytes_text, compared_text, count_text, ratio_text, time_text
from tfkd.report.side_by_side import GapClosed, check_comparable, deployed_row, ratio_to_teacher


def row(name, role, dice_percent, **costs) -> Evaluation:
    """One case whose only class has the given Dice."""
    wrong = 100 - dice_percent
    rows = (CaseRow("a", 0, 9, 0, 0, 1.0), CaseRow("a", 1, dice_percent, wrong, wrong, 1.0))
    return Evaluation(ModelInfo(name, role, **costs), CaseTable(rows, ("background", "liver")))


TEACHER = row("T", "teacher", 90, file_bytes=1000, parameters=100, ms_per_slice=8.0)
PLAIN = row("P", "plain", 70, file_bytes=100, parameters=10, ms_per_slice=4.0)
DISTILLED = row("D", "distilled", 85, file_bytes=100, parameters=10, ms_per_slice=16.0)
INT8 = row("I", "int8", 84, file_bytes=25)


def test_gap_closed_by_hand():
    foreground, liver = gap_closed([TEACHER, PLAIN, DISTILLED, INT8])
    assert (foreground.score, liver.score) == ("foreground mean", "liver")
    assert foreground.fraction == pytest.approx(0.75)
    assert foreground.points == pytest.approx(15)


def test_gap_needs_three_rows_and_a_gap():
    assert gap_closed([TEACHER, DISTILLED]) == []
    assert GapClosed("x", teacher=0.7, plain=0.7, distilled=0.8).fraction is None
    assert GapClosed("x", teacher=np.nan, plain=0.7, distilled=0.8).fraction is None
    assert GapClosed("x", teacher=0.9, plain=0.7, distilled=np.nan).fraction is None
    assert GapClosed("x", teacher=0.8, plain=0.7, distilled=0.6).fraction == pytest.approx(-1)


def test_order_deployed_and_ratios():
    rows = order_rows([INT8, DISTILLED, TEACHER, PLAIN])
    assert [each.name for each in rows] == ["T", "P", "D", "I"]
    assert deployed_row(rows) is INT8
    assert deployed_row(rows[:3]) is DISTILLED
    assert deployed_row([TEACHER]) is TEACHER
    assert ratio_to_teacher(rows, INT8, "file_bytes") == 40
    assert ratio_to_teacher(rows, DISTILLED, "ms_per_slice") == 0.5
    assert ratio_to_teacher(rows, INT8, "ms_per_slice") is None
    assert ratio_to_teacher(rows, TEACHER, "file_bytes") is None
    assert ratio_to_teacher([INT8], INT8, "file_bytes") is None


def test_rows_that_cannot_be_compared():
    other_case = dataclasses.replace(INT8.table.rows[0], case_id="b")
    other_cases = CaseTable(
        (other_case, dataclasses.replace(other_case, label=1)), TEACHER.table.label_names
    )
    for table, complaint in (
        (dataclasses.replace(INT8.table, empty="one"), "policy for empty masks: 'one'"),
        (dataclasses.replace(INT8.table, label_names=("background", "kidney")), "kidney"),
        (other_cases, "other cases; only one of them has a, b"),
    ):
        with pytest.raises(RecordError, match=complaint):
            check_comparable([TEACHER, dataclasses.replace(INT8, table=table)])
    with pytest.raises(RecordError, match="Received none"):
        format_table([])
    with pytest.raises(RecordError, match="T, T"):
        format_table([TEACHER, TEACHER])


def test_text_table():
    lines = format_table([INT8, DISTILLED, TEACHER, PLAIN]).splitlines()
    assert len({len(line) for line in lines[:6]}) == 1  # aligned
    assert lines[0].split("|")[1].strip() == "model"
    assert [line.split("|")[1].strip() for line in lines[2:6]] == ["T", "P", "D", "I"]
    assert "0.850 ± – (0.850)" in lines[4]
    assert "40×" in lines[5]
    text = "\n".join(lines)
    assert "+15.0 Dice points, 75 % of the gap" in text
    assert 'empty="exclude"' in text
    assert "No case had a class missing on both sides." in text


def test_text_table_counts_the_cases_touched(evaluations):
    text = format_table(evaluations[:2])
    assert "Cases without tumour on both sides: teacher 1, plain student 1." in text
    assert "Distillation" not in text


def test_text_table_of_many_classes():
    names = tuple("abcdefg")
    truth = np.arange(7)[:, None, None]
    table = CaseTable((), names).with_case("k", truth, truth, 1.0)
    text = format_table([Evaluation(ModelInfo("T", "teacher"), table)])
    assert "| Dice |" in text
    assert max(map(len, text.split("\n\nDice over")[0].splitlines())) < 80


def test_numbers_read_well():
    assert [count_text(n) for n in (None, 999, 353_900, 999_600, 2_230_000, 34_500_000)] == [
        *("–", "999", "354 k", "1.00 M", "2.23 M", "34.5 M")
    ]
    assert [bytes_text(n) for n in (None, 12, 480_000, 1_920_000, 138e6)] == [
        *("–", "12 B", "480 kB", "1.92 MB", "138 MB")
    ]
    assert [ratio_text(r) for r in (None, 0.25, 1, 9.94, 12.4, 185.2)] == [
        *("–", "0.25×", "1.0×", "9.9×", "12×", "185×")
    ]
    assert compared_text(12, "faster", "slower") == "12× faster"
    assert compared_text(0.5, "faster", "slower") == "2.0× slower"
    assert time_text(None) == "–"
    assert time_text(1.234) == "1.23"
