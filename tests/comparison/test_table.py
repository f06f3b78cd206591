"""The numbers of the table, beside values found by hand."""

import csv
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfkd.comparison import Plan, Table
from tfkd.comparison.runs.job import Job, jobs_of
from tfkd.comparison.runs.row_maker import mean_dice
from tfkd.comparison.table import table_of
from tfkd.comparison.table.csv_table import csv_table
from tfkd.comparison.table.markdown import markdown_table
from tfkd.comparison.table.page import html_page
from tfkd.metrics import CaseTable
from tfkd.records import Manifest

LABELS = ("background", "liver", "tumour")
Rows = Callable[..., dict[str, Any]]


@pytest.fixture
def jobs(make_plan: Callable[..., Plan], manifest: Manifest) -> list[Job]:
    """Teacher, plain 0, kd 0, plain 1, kd 1."""
    return jobs_of(make_plan(), manifest)


def table(jobs: list[Job], rows: list[dict[str, Any]]) -> Table:
    return table_of(jobs, {row["identity"]: row for row in rows}, LABELS)


@pytest.fixture
def finished(jobs: list[Job], make_row: Rows) -> list[dict[str, Any]]:
    """Teacher 0.9; plain 0.5 and 0.6; kd 0.7 and 0.6, where patient b has no tumour."""
    teacher, plain0, kd0, plain1, kd1 = jobs
    int8 = {"bytes": 2000, "ms_per_slice": 1.5, "threads": 1, "agreement": 1.0}
    return [
        make_row(teacher, {"a": [0.95, 0.8], "b": [0.95, 0.9]}),
        make_row(plain0, {"a": [0.6, 0.4], "b": [0.6, None]}, ms_per_step=8.0),
        make_row(plain1, {"a": [0.8, 0.4], "b": [0.8, None]}, ms_per_step=10.0),
        make_row(kd0, {"a": [0.8, 0.6], "b": [0.8, None]}, int8=int8),
        make_row(kd1, {"a": [0.9, 0.2], "b": [0.9, 0.4]}),
    ]


def test_numbers(jobs: list[Job], finished: list[dict[str, Any]]) -> None:
    teacher, plain, kd = table(jobs, finished).lines
    assert (teacher.mean, teacher.label_means) == (0.9, (0.95, pytest.approx(0.85)))
    assert math.isnan(teacher.sd)
    assert plain.per_seed == {0: 0.5, 1: pytest.approx(0.6)}
    assert plain.mean == pytest.approx(0.55)
    assert plain.sd == pytest.approx(math.sqrt(2) * 0.05)
    # Seed 1: tumour (0.2 + 0.4) / 2 = 0.3, mean (0.9 + 0.3) / 2.
    assert kd.per_seed == {0: pytest.approx(0.7), 1: pytest.approx(0.6)}
    assert kd.label_means == (pytest.approx(0.85), pytest.approx(0.45))
    assert kd.label_sds[1] == pytest.approx(math.sqrt(2) * 0.15)
    assert kd.points == pytest.approx(10.0)
    assert kd.gap_closed == pytest.approx(0.1 / 0.35)
    # Plain: a 0.55, b 0.7. Method: a 0.625, b (0.8 + 0.65) / 2.
    assert kd.gains == {"a": pytest.approx(7.5), "b": pytest.approx(2.5)}
    assert plain.gains == {}
    assert kd.test is not None
    assert (kd.test.n, kd.test.p) == (2, None)
    assert plain.ms_per_step == 9.0
    assert (kd.int8_bytes, kd.int8_ms, kd.int8_threads) == (2000, 1.5, 1)
    assert teacher.is_complete
    assert kd.is_complete


def test_only_seeds_that_both_have_are_compared(
    jobs: list[Job], finished: list[dict[str, Any]]
) -> None:
    _, _, kd = table(jobs, [row for row in finished if row["identity"] != jobs[3].identity]).lines
    assert kd.mean == pytest.approx(0.65)
    assert kd.points == pytest.approx(20.0)  # of seed 0
    assert kd.gains == {"a": pytest.approx(20.0), "b": pytest.approx(20.0)}
    assert kd.gap_closed == pytest.approx(0.5)
    _, plain, kd = table(jobs, finished[3:]).lines
    assert math.isnan(kd.points)
    assert kd.gap_note == "no seed that plain has too"
    assert plain.seeds_done == ()
    assert math.isnan(plain.mean)


def test_no_share_of_a_gap_that_is_none(
    jobs: list[Job], finished: list[dict[str, Any]], make_row: Rows
) -> None:
    low = make_row(jobs[0], {"a": [0.6, 0.51], "b": [0.6, 0.51]})
    _, _, kd = table(jobs, [low, *finished[1:]]).lines
    assert math.isnan(kd.gap_closed)
    assert kd.gap_note == "teacher − plain is 0.5 points"
    _, _, kd = table(jobs, finished[1:]).lines
    assert kd.gap_note == "no score of the teacher"
    assert kd.points == pytest.approx(10.0)


def test_the_mean_is_that_of_the_report() -> None:
    generator = np.random.default_rng(0)
    counted = CaseTable((), LABELS)
    for case in ("a", "b"):
        truth, mask = generator.integers(0, 3, (2, 4, 8, 8))
        if case == "b":
            truth, mask = np.minimum(truth, 1), np.minimum(mask, 1)
        counted = counted.with_case(case, truth, mask, 1.0)
    columns = [counted.per_case(label) for label in counted.foreground]
    dice = {
        case: [None if np.isnan(column[k]) else float(column[k]) for column in columns]
        for k, case in enumerate(counted.case_ids)
    }
    assert dice["b"][1] is None
    assert mean_dice(dice) == pytest.approx(counted.mean_foreground_dice(), abs=1e-6)
    assert mean_dice({"a": [None, None]}) is None


def test_methods_are_tested_against_the_best(
    make_plan: Callable[..., Plan], manifest: Manifest, make_row: Rows
) -> None:
    """8 patients, found by hand: of 8 differences of one sign, p = 2 / 2⁸."""
    methods = {
        name: {"losses": [{"loss": "PredictionMapDistillation", "weight": weight}]}
        for weight, name in enumerate(("first", "second", "third"), 1)
    }
    jobs = jobs_of(make_plan(methods=methods), manifest)
    dice = {"first": 0.7, "second": 0.6, "third": 0.9}

    def row(job: Job) -> dict[str, Any]:
        level = dice.get(job.method_name, 0.5) + 0.01 * job.seed
        # The further patients are apart, the more the methods differ.
        return make_row(job, {f"p{k}": [level * (1 - k / 100)] * 2 for k in range(8)})

    # Of the third there is one seed only: it is no candidate, though its mean is the highest.
    rows = [row(job) for job in jobs if job.method_name != "third" or job.seed == 0]
    shown = table(jobs, rows)
    lines = {line.method: line for line in shown.lines}
    assert [name for name, line in lines.items() if line.is_best] == ["first"]
    assert lines["first"].test_to_best is None
    for name in ("second", "third"):
        test = lines[name].test_to_best
        assert test is not None
        assert (test.n, test.p) == (8, pytest.approx(2 / 2**8))
    assert lines["plain"].test_to_best is lines["teacher"].test_to_best is None
    text = markdown_table(shown)
    assert "|      best |" in text
    assert "|     0.008 |" in text
    assert "p to best: the same test against the student's best method" in text
    csv_lines = {row["method"]: row for row in csv.DictReader(io.StringIO(csv_table(shown)))}
    assert csv_lines["first"]["is best"] == "1"
    assert float(csv_lines["second"]["test to best p"]) == pytest.approx(2 / 2**8, abs=1e-6)


def test_markdown(jobs: list[Job], finished: list[dict[str, Any]]) -> None:
    text = markdown_table(table(jobs, finished))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[:5]]
    kd = dict(zip(lines[0], lines[4], strict=True))
    assert kd == {
        "network": "small",
        "method": "kd",
        "teacher": "big",
        "seeds": "2",
        "Dice": "0.650 ± 0.071",
        "points": "+10.0",
        "gap closed": "29 %",
        "p": "n = 2",
        "p to best": "–",
        "liver": "0.850 ± 0.071",
        "tumour": "0.450 ± 0.212",
        "weights": "1.00 k",
        "steps": "4",
        "ms/step": "10.0",
        "int8 file": "2.00 kB",
        "int8 points": "–",
        "ms/slice": "1.50",
    }
    assert len({len(line) for line in text.splitlines()[:5]}) == 1
    assert "With fewer than 6 patients it cannot fall below 0.05" in text
    assert "1 thread." in text


def test_what_is_not_finished_says_so(jobs: list[Job], finished: list[dict[str, Any]]) -> None:
    text = markdown_table(table(jobs, finished[:4]))
    assert "1 of 2" in text
    assert "Not finished: 1 runs are missing." in text
    assert "Not finished: 5 runs" in markdown_table(table(jobs, []))


def test_an_export_that_failed_is_noted(jobs: list[Job], finished: list[dict[str, Any]]) -> None:
    finished[3]["int8"] = {"error": "no such operator"}
    shown = table(jobs, finished)
    assert shown.lines[2].int8_error == "no such operator"
    assert "small, kd: no int8 file; no such operator" in markdown_table(shown)


def test_points_of_the_int8_file(jobs: list[Job], finished: list[dict[str, Any]]) -> None:
    """Of the networks that have a file: 0.7 → 0.69 and 0.6 → 0.57."""
    for row, dice in ((finished[3], 0.69), (finished[4], 0.57)):
        row["int8"] = {**finished[3]["int8"], "mean_dice": dice}
    shown = table(jobs, finished)
    assert shown.lines[2].int8_points == pytest.approx(-2.0)
    assert shown.lines[1].int8_points is None
    text = markdown_table(shown)
    assert "|        -2.0 |" in text
    assert "int8 points: Dice of the int8 file" in text
    assert ",-2," in csv_table(shown)


def test_an_int8_file_of_little_use_is_noted(
    jobs: list[Job], finished: list[dict[str, Any]]
) -> None:
    note = "small, kd: an int8 file gives Keras' label in"
    assert note not in markdown_table(table(jobs, finished))
    finished[4]["int8"] = {**finished[3]["int8"], "agreement": 0.912}
    shown = table(jobs, finished)
    assert shown.lines[2].int8_agreement == 0.912
    assert f"{note} 91.2 % of the pixels, fewer than the 99 %" in markdown_table(shown)
    assert ",0.912," in csv_table(shown)


def test_teachers_of_one_name_are_told_apart(
    jobs: list[Job], finished: list[dict[str, Any]]
) -> None:
    finished[0]["fingerprint"] = "a" * 64
    finished[3]["taught_by"] = ["a" * 64]
    finished[4]["taught_by"] = ["a" * 64]
    assert "Different networks" not in markdown_table(table(jobs, finished))
    finished[4]["taught_by"] = ["b" * 64]
    text = markdown_table(table(jobs, finished))
    assert "the name big: aaaaaaaa taught seeds 0; bbbbbbbb taught seeds 1." in text


def test_machines_are_named(jobs: list[Job], finished: list[dict[str, Any]]) -> None:
    finished[0]["machine"] = "other"
    assert "different machines (other; Linux" in markdown_table(table(jobs, finished))
    finished[0]["int8"] = {**finished[3]["int8"], "machine": "third"}
    assert "(other, int8 file on third; Linux" in markdown_table(table(jobs, finished))


def test_csv(jobs: list[Job], finished: list[dict[str, Any]]) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_table(table(jobs, finished)))))
    assert [line["method"] for line in lines] == ["teacher", "plain", "kd"]
    assert lines[2]["points"] == "10"
    assert lines[2]["dice tumour"] == "0.45"
    assert lines[0]["points"] == lines[2]["test p"] == ""


def test_html(jobs: list[Job], finished: list[dict[str, Any]]) -> None:
    page = html_page(table(jobs, finished))
    assert "+10.0 points" in page
    assert "29 % of the gap closed" in page
    assert page.count("data:image/svg+xml;base64,") == 2
    assert "http" not in page.replace("http://www.w3.org", "")
    empty = html_page(table(jobs, []))
    assert "data:image" not in empty
