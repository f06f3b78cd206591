"""`tfkd compare`: its words, its errors, and what it prints."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.interrupted_main import small_network
from tfkd.cli.main import main

PLAN = """
records = "{records}"
seeds = [0]
export = "none"
[training]
epochs = 1
steps_per_epoch = 2
batch_size = 2
[teachers.fitting]
file = "{teacher}"
[students.small]
network = "UNet"
[methods.ours]
preset = "emkd"
"""


@pytest.fixture
def plan(records: Path, models: Path, tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(PLAN.format(records=records, teacher=models / "fitting.keras"))
    return path


def test_from_plan_to_table(
    plan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tfkd.models.build", small_network)
    out, rows = tmp_path / "out", tmp_path / "kept" / "rows.jsonl"
    words = ["compare", str(plan), "--out", str(out), "--rows", str(rows)]
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "missing  teacher fitting",
        "missing  small, plain, seed 0",
        "missing  small ← fitting, ours, seed 0",
        "0 of 3 done; time left not known yet",
    ]
    assert not out.exists()
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "3 of 3: small ← fitting, ours, seed 0; about" in "\n".join(lines)
    assert lines[-3:] == [str(rows.with_name(f"table.{kind}")) for kind in ("csv", "md", "html")]
    (row,) = (line for line in lines if line.startswith("| small") and "| ours" in line)
    assert "| fitting |" in row
    assert main([*words, "--table"]) == 0
    assert row in capsys.readouterr().out
    assert len(rows.read_text().splitlines()) == 3
    assert {path.name for path in out.iterdir()} == {"config.toml", "runs", "teachers"}


@pytest.mark.parametrize(("name", "folder"), [("study.toml", "study"), ("plan.toml", "mine")])
def test_runs_lie_below_the_plans_name(
    plan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    folder: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    plan.rename(tmp_path / "mine" / name)
    assert main(["compare", f"mine/{name}", "--table"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"runs/{folder}/table.html"


@pytest.mark.parametrize(
    ("old", "new", "mentions"),
    [
        ("epochs", "epoch", ["[training]: unknown key 'epoch'", "Nearest: epochs"]),
        ('"emkd"', '"emdk"', ["[methods.ours] preset", "Nearest: emkd"]),
        ('"UNet"', '"UNet"\nwidth = 9.0', ["[students.small] width", "9.0"]),
    ],
)
def test_errors_name_the_plan(
    plan: Path, fail: Callable[..., str], tmp_path: Path, old: str, new: str, mentions: list[str]
) -> None:
    plan.write_text(plan.read_text().replace(old, new, 1))
    fail(["compare", plan, "--out", tmp_path / "out"], f"{plan}: ", *mentions)
    assert not (tmp_path / "out" / "rows.jsonl").exists()


def test_records_that_are_missing_name_the_plan(
    plan: Path, fail: Callable[..., str], records: Path
) -> None:
    plan.write_text(plan.read_text().replace(str(records), "none"))
    fail(["compare", plan, "--dry-run"], f"{plan}: {plan.parent / 'none'}", "is missing")


def test_dry_run_or_table(plan: Path, fail: Callable[..., str]) -> None:
    fail(["compare", plan, "--dry-run", "--table"], "dry_run and table")


def test_the_volumes_may_have_moved(plan: Path, fail: Callable[..., str], tmp_path: Path) -> None:
    words = ["compare", plan, "--out", tmp_path / "out", "--source", tmp_path / "none"]
    fail(words, "is gone", tmp_path / "none")
