"""Who makes which run, and when; without any training."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tfkd.comparison import Plan, Study
from tfkd.comparison import study as module
from tfkd.comparison.runs.job import Job
from tfkd.comparison.runs.run_lock import run_lock
from tfkd.errors import PlanError, RecordError, TrainingError, TrainingInterrupted

ALL = [
    "teacher big",
    "small, plain, seed 0",
    "small ← big, kd, seed 0",
    "small, plain, seed 1",
    "small ← big, kd, seed 1",
]


FILE = {"bytes": 2000, "ms_per_slice": 1.5, "threads": 1, "agreement": 1.0}


class Made:
    """In place of the row maker and its trainer: notes what would be made."""

    def __init__(self, make_row: Callable[..., Any]) -> None:
        self.make = make_row
        self.runs: list[str] = []
        self.files: list[str] = []
        self.trained: set[str] = set()
        self.failing: set[str] = set()
        self.fingerprint = "a" * 64  # of any teacher
        self.error: Exception = TrainingError("loss is not finite")
        self.on_run: Callable[[Job], None] = lambda job: None

    def __call__(self, *arguments: Any, **options: Any) -> "Made":
        return self

    @property
    def trainer(self) -> "Made":
        return self

    def check(self, jobs: list[Job]) -> None:
        pass

    def is_trained(self, job: Job) -> bool:
        return job.title in self.trained

    def fingerprints(self, teachers: Sequence[Job]) -> list[str]:
        return [self.fingerprint for _ in teachers]

    def train(self, job: Job) -> None:
        self.runs.append(job.title)
        self.on_run(job)
        if job.title in self.failing:
            raise self.error
        self.trained.add(job.title)

    def make_row(self, job: Job) -> dict[str, Any]:
        self.train(job)
        return {**self.make(job), "int8": FILE if job.exports else None}

    def add_file(self, job: Job, row: dict[str, Any]) -> dict[str, Any]:
        self.files.append(job.title)
        self.on_run(job)
        if job.title in self.failing:
            raise self.error
        return {**row, "int8": FILE}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, make_row: Callable[..., Any]) -> Made:
    made = Made(make_row)
    monkeypatch.setattr("tfkd.comparison.runs.row_maker.RowMaker", made)
    monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr("tfkd.comparison.table.write.html_page", lambda table: "")  # takes time
    return made


@pytest.fixture
def study(make_plan: Callable[..., Plan], tmp_path: Path, made: Made) -> Study:
    return Study(make_plan(), tmp_path / "out", say=lambda line: said.append(line))


said: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_said() -> None:
    said.clear()


def test_everything_is_made_once(study: Study, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    assert study.outlook()[-1] == "0 of 5 done; time left not known yet"
    study.run()
    assert made.runs == ALL
    assert said[0] == "1 of 5: teacher big; time left not known yet"
    # 61 s for each finished run; the first distilled one is guessed by the plain one.
    assert said[3:] == [
        "4 of 5: small, plain, seed 1; about 2 min left",
        "5 of 5: small ← big, kd, seed 1; about 61 s left",
    ]
    assert {path.name for path in study.rows.path.parent.iterdir()} >= {
        "rows.jsonl",
        "table.csv",
        "table.md",
        "table.html",
    }
    monkeypatch.delattr("tfkd.comparison.runs.row_maker.RowMaker")  # needs volumes that may be gone
    study.run()
    assert made.runs == ALL
    assert study.outlook()[-1] == "5 of 5 done; all done"


def test_rows_count_without_their_runs(
    study: Study, made: Made, make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    study.run()
    made.trained.clear()  # on another machine
    other = Study(make_plan(seeds=[0, 1, 2]), tmp_path / "other", study.rows.path)
    other.run()
    # The new seed needs the teacher, whose row is there already.
    assert made.runs[5:] == ["teacher big", "small, plain, seed 2", "small ← big, kd, seed 2"]
    assert len(study.rows.path.read_text().splitlines()) == 7


def test_rows_under_two_teachers_are_refused(
    study: Study,
    made: Made,
    make_row: Callable[..., Any],
    make_plan: Callable[..., Plan],
    tmp_path: Path,
) -> None:
    made.make = lambda job: make_row(job, fingerprint=made.fingerprint)
    study.run()
    made.trained.clear()  # on another machine, where the same training ends elsewhere
    made.fingerprint = "b" * 64
    other = Study(make_plan(seeds=[0, 1, 2]), tmp_path / "other", study.rows.path)
    with pytest.raises(TrainingError, match=r"1 runs failed: .*teacher big.* aaaaaaaa .*bbbbbbbb"):
        other.run()
    assert made.runs[5:] == ["teacher big", "small, plain, seed 2"]
    assert [job.title for job in other.missing()] == ["small ← big, kd, seed 2"]


def test_changed_settings_are_made_anew(
    study: Study, made: Made, make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    study.run()
    students = {"small": {"network": "UNet", "width": 0.05, "learning_rate": 0.1}}
    other = Study(make_plan(students=students), study.folder)
    assert [job.title for job in other.missing()] == ALL[1:]
    assert [line.seeds_done for line in other.table().lines] == [(0,), (), ()]
    other.run()
    assert made.runs == [*ALL, *ALL[1:]]


def test_a_run_of_another_process_is_passed_by_and_looked_at_again(
    study: Study, made: Made
) -> None:
    held = study.jobs[1]
    lock = run_lock(study.folder / held.folder)
    assert lock.__enter__()

    def finish(job: Job) -> None:
        if job.title == ALL[-1]:  # the other process is done
            study.rows.append(made.make(held))
            lock.__exit__(None, None, None)

    made.on_run = finish
    study.run()
    assert made.runs == [title for title in ALL if title != held.title]
    assert not study.missing()


def test_waiting_for_another_process_is_said_and_can_be_ended(
    study: Study, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", told)
    waiting = r"^1 run is being made by other processes; waiting\.$"
    with (
        run_lock(study.folder / study.jobs[1].folder),
        pytest.warns(UserWarning, match=waiting),
        pytest.raises(KeyboardInterrupt),
    ):
        study.run()
    assert len(made.runs) == 4


def test_a_run_that_another_process_gave_up_is_taken_over(study: Study, made: Made) -> None:
    teacher = study.jobs[0]
    lock = run_lock(study.folder / teacher.folder)
    assert lock.__enter__()
    made.on_run = lambda job: lock.__exit__(None, None, None) if "seed 1" in job.title else None
    study.run()
    assert made.runs == [ALL[1], ALL[3], ALL[0], ALL[2], ALL[4]]


def test_a_failed_run_does_not_stop_the_others(study: Study, made: Made) -> None:
    made.failing = {ALL[2]}
    with pytest.raises(TrainingError, match=r"1 runs failed: small ← big, kd, seed 0: loss"):
        study.run()
    assert made.runs == ALL
    assert [job.title for job in study.missing()] == [ALL[2]]
    assert "1 of 2" in (study.folder / "table.md").read_text()


def test_without_its_teacher_a_run_is_left_out(study: Study, made: Made) -> None:
    made.failing = {ALL[0]}
    with pytest.raises(TrainingError, match=r"1 runs failed: teacher big: .* \(2 runs wait for it"):
        study.run()
    assert made.runs == [ALL[0], ALL[1], ALL[3]]


def test_a_teacher_that_is_trained_but_has_failed_teaches_nobody(study: Study, made: Made) -> None:
    made.failing, made.error = {ALL[0]}, RecordError("a volume is damaged")
    made.trained = {ALL[0]}
    with pytest.raises(TrainingError, match=r"a volume is damaged \(2 runs wait for it"):
        study.run()
    assert made.runs == [ALL[0], ALL[1], ALL[3]]


@pytest.mark.parametrize("error", [TypeError("a mistake"), TrainingInterrupted("stopped")])
def test_mistakes_and_interruptions_end_the_study(
    study: Study, made: Made, error: Exception
) -> None:
    made.failing, made.error = {ALL[1]}, error
    with pytest.raises(type(error), match=str(error)):
        study.run()
    assert made.runs == ALL[:2]


def test_only_some_students(make_plan: Callable[..., Plan], tmp_path: Path, made: Made) -> None:
    students = {name: {"network": "UNet", "width": w} for name, w in (("a", 0.05), ("b", 0.06))}
    plan = make_plan(students=students, seeds=[0])
    Study(plan, tmp_path, only=["b"]).run()
    assert made.runs == ["teacher big", "b, plain, seed 0", "b ← big, kd, seed 0"]
    assert "0 of 1" in (tmp_path / "table.md").read_text()
    with pytest.raises(PlanError, match=r"only: unknown student 'c'\. .*Known: a, b"):
        Study(plan, tmp_path, only=["c"])


def test_a_unique_line_for_equal_students(
    make_plan: Callable[..., Plan], tmp_path: Path, made: Made
) -> None:
    students = {name: {"network": "UNet", "width": 0.05} for name in ("a", "b")}
    study = Study(make_plan(students=students, seeds=[0]), tmp_path)
    study.run()
    assert made.runs == ["teacher big", "a, plain, seed 0", "a ← big, kd, seed 0"]
    assert all(line.is_complete for line in study.table().lines)
    assert len(study.rows.path.read_text().splitlines()) == 3


def keep(study: Study, *titles: str, ms_per_step: float = 10.0) -> None:
    """Puts networks of runs into their folders; 10 ms a step as in `make_row`."""
    for job in study.jobs:
        if job.title in titles:
            folder = study.folder / job.folder
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "model.keras").touch()
            facts = {"epochs": 2, "steps": 4, "ms_per_step": ms_per_step, "seconds_training": 60.0}
            (folder / "training.json").write_text(json.dumps(facts))


@pytest.fixture
def exporting(make_plan: Callable[..., Plan], study: Study, made: Made) -> Study:
    """The study, finished without files, under a plan that asks for those of the first seed."""
    Study(make_plan(export="none"), study.folder, say=lambda line: None).run()
    made.runs.clear()
    return study


def test_files_are_made_later_of_the_networks_that_are_kept(exporting: Study, made: Made) -> None:
    keep(exporting, ALL[1], ALL[3])
    assert exporting.outlook()[1:] == [
        "no file  small, plain, seed 0",
        "done     small ← big, kd, seed 0",
        "done     small, plain, seed 1",
        "done     small ← big, kd, seed 1",
        "5 of 5 done; int8 files still to be made: 1; int8 files missing, as their networks are "
        "not on this machine: 1",
    ]
    exporting.run()
    assert (made.runs, made.files) == ([], [ALL[1]])
    assert said == ["int8 file of small, plain, seed 0"]
    assert exporting.rows.read()[exporting.jobs[1].identity]["int8"] == FILE
    text = (exporting.folder / "table.md").read_text()
    assert "* Int8 files missing, as their networks are not on this machine: 1.\n" in text
    exporting.run()
    assert made.files == [ALL[1]]


def test_a_network_that_was_trained_again_is_not_that_of_the_row(
    exporting: Study, made: Made
) -> None:
    keep(exporting, ALL[1], ALL[2], ms_per_step=11.0)
    exporting.run()
    assert made.files == []


def test_a_file_that_another_process_makes_is_left_to_it(exporting: Study, made: Made) -> None:
    keep(exporting, ALL[1], ALL[2])
    with run_lock(exporting.folder / exporting.jobs[1].folder):
        exporting.run()
    assert made.files == [ALL[2]]
    assert "* Int8 files still to be made: 1.\n" in (exporting.folder / "table.md").read_text()


def test_a_file_that_fails_does_not_stop_the_others(exporting: Study, made: Made) -> None:
    keep(exporting, ALL[1], ALL[2])
    made.failing, made.error = {ALL[1]}, ValueError("damaged")
    with pytest.raises(TrainingError, match="1 runs failed: small, plain, seed 0: damaged"):
        exporting.run()
    assert made.files == ALL[1:3]
