"""Several teachers, each silent about what it has seen; their cache; a slow start."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from tests.cli.interrupted_main import small_network
from tfkd.cli.main import main
from tfkd.models import fingerprint

SETTINGS = ["--epochs", "2", "--steps-per-epoch", "2", "--batch-size", "2"]
CASES = 3


def run(*words: str | Path) -> None:
    assert main([str(word) for word in words]) == 0


def train(own_records: Path, out: Path, *options: str) -> Path:
    run("train", own_records, out, *SETTINGS, *options)
    return out / "model.keras"


def history(out: Path) -> list[dict[str, float]]:
    with (out / "history.csv").open() as file:
        return [{name: float(v) for name, v in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module", autouse=True)
def _small():
    """The verbs train a network that takes moments to build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfkd.models.build", small_network)
        yield


@pytest.fixture(scope="module")
def folder(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of their own, beside which a cache may lie."""
    folder = tmp_path_factory.mktemp("options")
    shutil.copytree(records, folder / "records")
    return folder


@pytest.fixture(scope="module")
def teachers(folder: Path) -> list[Path]:
    """Two of three folds: one case is new to neither."""
    return [
        train(folder / "records", folder / f"fold{fold}", "--folds", "3", "--fold", str(fold))
        for fold in range(2)
    ]


@pytest.fixture(scope="module")
def usual(folder: Path) -> Path:
    """A teacher that has seen all cases."""
    return train(folder / "records", folder / "usual")


def test_each_teacher_leaves_a_fold_out(teachers: list[Path]) -> None:
    seen = [
        set(json.loads(path.with_name("run.json").read_text("utf-8"))["trained_on"])
        for path in teachers
    ]
    assert [len(cases) for cases in seen] == [CASES - 1] * 2
    assert len(seen[0] | seen[1]) == CASES


def test_held_out_teachers_with_a_cache(
    folder: Path, teachers: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--teacher", *teachers, "--held-out", "--teacher-weighting", "confidence"]
    words += ["--cache-teacher", *SETTINGS]
    run("distill", folder / "records", tmp_path / "first", *words, "--ramp-epochs", "1e6")
    said = capsys.readouterr().out
    assert "1 of 3 training cases have no teacher" in said
    record = json.loads((tmp_path / "first" / "run.json").read_text("utf-8"))
    assert len(record["trained_on"]) == CASES
    assert record["teachers"] == [
        {"file": str(path), "fingerprint": fingerprint(keras.saving.load_model(path))}
        for path in teachers
    ]
    # Along the first steps of so long a ramp, the labels alone teach.
    for row in history(tmp_path / "first"):
        assert row["loss"] == pytest.approx(row["student_loss"], rel=1e-4)
    cache = folder / "records" / "teacher_cache"
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert before
    run("distill", folder / "records", tmp_path / "second", *words)
    after = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert after == before
    for row in history(tmp_path / "second"):
        assert row["loss"] > 1.001 * row["student_loss"]


def test_a_teacher_that_has_seen_all_is_never_held_out(
    folder: Path, usual: Path, tmp_path: Path, fail: Callable[..., str]
) -> None:
    words = ["distill", folder / "records", tmp_path / "out", "--held-out", "--teacher", usual]
    fail(words, "held_out", usual, "--folds")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", [None, "{}", "[1]", "no JSON", '{"trained_on": null}'])
def test_a_teacher_without_its_record(
    folder: Path,
    models: Path,
    tmp_path: Path,
    fail: Callable[..., str],
    text: str | None,
) -> None:
    teacher = Path(shutil.copy(models / "fitting.keras", tmp_path))
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    words = ["distill", folder / "records", tmp_path / "out", "--held-out", "--teacher", teacher]
    fail(words, tmp_path / "run.json", "tfkd train")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--fold", "1"], "Give --folds"),
        (["--folds", "3"], "received None. Give --fold"),
        (["--folds", "3", "--fold", "3"], "expected 0 to 2"),
        (["--folds", "4", "--fold", "0"], "expected 2 up to the 3 training patients"),
    ],
)
def test_folds_that_do_not_fit(
    folder: Path, tmp_path: Path, fail: Callable[..., str], options: list[str], reason: str
) -> None:
    fail(["train", folder / "records", tmp_path / "out", *options], reason)
    assert not (tmp_path / "out").exists()


def test_another_method_has_its_own_losses(folder: Path, usual: Path) -> None:
    out = folder / "cwd"
    taught_by = ["--teacher", str(usual), "--method", "cwd", "--method-weight", "0.5"]
    run("distill", folder / "records", out, *SETTINGS, *taught_by)
    row = history(out)[0]
    assert row["loss"] == pytest.approx(row["student_loss"] + 1.5 * row["channel_wise"], rel=1e-4)
    assert "prediction_map" not in row


@pytest.mark.parametrize("method", [[], ["--method", "kd"]])
def test_options_of_the_paper_are_no_options_of_another_method(
    folder: Path, usual: Path, capsys: pytest.CaptureFixture[str], method: list[str]
) -> None:
    words = ["distill", folder / "records", folder / "none", *SETTINGS, "--teacher", usual]
    words += [*method, "--region-weight", "0.5"]
    assert main([str(word) for word in words]) != 0
    said = capsys.readouterr().err
    assert "region_weight: expected it with method emkd alone" in said
    assert "Give --method emkd" in said


def test_every_method_can_be_asked_for() -> None:
    from typing import get_args

    from tfkd.cli.distill import EARLIER_METHOD_NAMES, MethodName
    from tfkd.distillation import methods

    names = {*get_args(MethodName), *EARLIER_METHOD_NAMES}
    assert names == set(methods.__all__)
