"""A small comparison, trained: its rows, what is not done again, and a kill in the middle."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.cli.interrupted_main import small_network
from tests.comparison.conftest import TABLES, TEST_CASES
from tfkd.callbacks import RunCheckpoint
from tfkd.callbacks.run_checkpoint import Position
from tfkd.cli.main import main
from tfkd.comparison import Plan, Study
from tfkd.comparison.runs.row_maker import mean_dice
from tfkd.comparison.runs.trainer import Trainer
from tfkd.errors import PlanError, TrainingError
from tfkd.models import fingerprint
from tfkd.models.network_file import read_facts
from tfkd.records import Manifest

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def small() -> Any:
    """Networks that take moments to build, in place of all others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfkd.models.build", small_network)
        yield


@pytest.fixture(scope="module")
def plan(records: Path) -> Plan:
    return Plan(records=records, **TABLES)


@pytest.fixture(scope="module")
def finished(small: None, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The comparison, made in one go; not to be written to."""
    study = Study(plan, tmp_path_factory.mktemp("study"), say=lambda line: None, verbose=0)
    study.run()
    return study


@pytest.fixture
def copy(finished: Study, plan: Plan, tmp_path: Path) -> Study:
    """A copy of it, to spoil."""
    shutil.copytree(finished.folder, tmp_path / "study")
    return Study(plan, tmp_path / "study", say=lambda line: None, verbose=0)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that are trained."""
    titles: list[str] = []
    train = Trainer.train

    def note(self: Trainer, job: Any) -> None:
        titles.append(job.title)
        train(self, job)

    monkeypatch.setattr(Trainer, "train", note)
    return titles


def without(study: Study, *titles: str) -> None:
    """Takes rows out of the file."""
    gone = {job.identity for job in study.jobs if job.title in titles}
    lines = study.rows.path.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["identity"] not in gone]
    assert len(kept) == len(lines) - len(titles)
    study.rows.path.write_text("".join(kept), encoding="utf-8")


def network(study: Study, title: str) -> str:
    (job,) = (job for job in study.jobs if job.title == title)
    return fingerprint(
        keras.saving.load_model(study.folder / job.folder / "model.keras", compile=False)
    )


def test_networks_say_what_they_were_trained_on(finished: Study, records: Path) -> None:
    written = [*finished.folder.rglob("*.keras")]
    assert written
    assert {read_facts(path) for path in written} == {Manifest.load(records).facts}


def test_rows(finished: Study, records: Path) -> None:
    rows = finished.rows.read()
    assert list(rows) == [job.identity for job in finished.jobs]
    teacher, _, kd, second, _ = rows.values()
    assert (kd["network"], kd["method"], kd["teachers"], kd["seed"]) == ("small", "kd", ["big"], 0)
    assert list(kd["dice"]) == list(TEST_CASES)
    assert all(0 <= one <= 1 for scores in kd["dice"].values() for one in scores)
    assert (teacher["epochs"], teacher["steps"], kd["epochs"], kd["steps"]) == (1, 2, 2, 4)
    assert kd["ms_per_step"] > 0
    assert kd["taught_by"] == [teacher["fingerprint"]] == [network(finished, "teacher big")]
    measured = {"bytes", "ms_per_slice", "threads", "agreement", "dice", "mean_dice"}
    assert kd["int8"].keys() == measured
    assert kd["int8"]["mean_dice"] == mean_dice(kd["int8"]["dice"])
    assert kd["int8"]["dice"].keys() == kd["dice"].keys()
    assert teacher["int8"] is second["int8"] is None
    text = finished.rows.path.read_text("utf-8")
    assert str(records.parent) not in text
    assert str(finished.folder) not in text


def test_every_run_has_a_folder(finished: Study) -> None:
    for job in finished.jobs:
        names = {path.name for path in (finished.folder / job.folder).iterdir()}
        files = {"student_int8.tflite", "student_int8.json"} if job.exports else set()
        own = {".lock", "history.csv", "model.keras", "run.json", "training.json"}
        assert names == own | files


def test_table(finished: Study, manifest: Manifest) -> None:
    table = finished.table()
    assert [line.is_complete for line in table.lines] == [True] * 3
    assert table.label_names == manifest.label_names[1:]
    assert (finished.folder / "table.html").read_text("utf-8").count("image/svg+xml") == 2


def test_a_second_call_trains_nothing(copy: Study, trained: list[str]) -> None:
    before = copy.rows.path.read_bytes()
    shutil.rmtree(copy.folder / "runs")
    shutil.rmtree(copy.folder / "teachers")
    copy.run()
    assert trained == []
    assert copy.rows.path.read_bytes() == before


def test_a_trained_run_without_a_row_is_only_scored(copy: Study, trained: list[str]) -> None:
    without(copy, "small ← big, kd, seed 1")
    expected = copy.rows.read()
    copy.run()
    assert trained == []
    (row,) = (row for key, row in copy.rows.read().items() if key not in expected)
    assert row["method"] == "kd"
    assert row["steps"] == 4


def test_a_file_is_made_of_a_kept_network(copy: Study, trained: list[str]) -> None:
    (job,) = (job for job in copy.jobs if job.title == "small, plain, seed 0")
    expected = copy.rows.read()[job.identity]
    text = copy.rows.path.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    for row in lines:
        row["int8"] = None if row["identity"] == job.identity else row["int8"]
    copy.rows.path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    (copy.folder / job.folder / "student_int8.tflite").unlink()
    copy.run()
    assert trained == []
    row = copy.rows.read()[job.identity]
    assert {key for key in row if row[key] != expected[key]} <= {"int8", "seconds"}
    assert {key: row["int8"][key] for key in ("bytes", "agreement", "dice", "mean_dice")} == {
        key: expected["int8"][key] for key in ("bytes", "agreement", "dice", "mean_dice")
    }
    assert row["int8"]["machine"] == row["machine"]
    assert (copy.folder / job.folder / "student_int8.tflite").exists()


def test_a_killed_run_goes_on_and_ends_alike(
    finished: Study, copy: Study, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    title = "small ← big, kd, seed 1"
    without(copy, title)
    (job,) = (job for job in copy.jobs if job.title == title)
    shutil.rmtree(copy.folder / job.folder)
    save, saved = RunCheckpoint._save, []

    def kill(self: RunCheckpoint, position: Any) -> None:
        save(self, position)
        if "runs" in self.path.parts:
            saved.append(position)
            if len(saved) == 3:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoint, "_save", kill)
        with pytest.raises(KeyboardInterrupt):
            copy.run()
    assert (saved[-1].epoch, saved[-1].step) == (1, 1)
    assert title in {job.title for job in copy.missing()}
    copy.run()
    assert trained == [title, title]
    assert network(copy, title) == network(finished, title)
    one, other = (study.rows.read()[job.identity]["dice"] for study in (copy, finished))
    assert one == other


def test_a_diverged_network_is_not_saved(
    copy: Study, manifest: Manifest, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = (job for job in copy.jobs if job.title == "small, plain, seed 1")
    folder = copy.folder / job.folder
    (folder / "model.keras").unlink()

    def diverge(distiller: Any, *_: Any, folder: Path, **__: Any) -> None:
        weights = distiller.student.get_weights()
        distiller.student.set_weights([weights[0] * float("nan"), *weights[1:]])
        (folder / "checkpoint.npz").touch()

    monkeypatch.setattr("tfkd.callbacks.fit_resumable", diverge)
    monkeypatch.setattr(RunCheckpoint, "position", Position())
    with pytest.raises(TrainingError, match="small, plain, seed 1 diverged"):
        Trainer(plan, manifest, copy.folder, verbose=0).train(job)
    assert not (folder / "model.keras").exists()
    assert not (folder / "checkpoint.npz").exists()


def test_a_plain_student_is_that_of_tfkd_train(
    finished: Study, records: Path, tmp_path: Path
) -> None:
    words = ["train", str(records), str(tmp_path / "run"), "--network", "UNet", "--seed", "1"]
    words += ["--epochs", "2", "--steps-per-epoch", "2", "--batch-size", "2"]
    assert main(words) == 0
    model = keras.saving.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert network(finished, "small, plain, seed 1") == fingerprint(model)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            {
                "methods": {
                    "m": {"losses": [{"loss": "ImportanceMapDistillation", "layer_name": "tap"}]}
                }
            },
            "unknown key of ImportanceMapDistillation 'layer_name'",
        ),
        ({"students": {"s": {"network": "UNet", "keep": "best"}}}, "expected validation cases"),
    ],
)
def test_errors_come_before_any_training(
    make_plan: Callable[..., Plan],
    tmp_path: Path,
    trained: list[str],
    arguments: dict[str, Any],
    reason: str,
) -> None:
    with pytest.raises(PlanError, match=reason):
        Study(make_plan(**arguments), tmp_path).run()
    assert trained == []
