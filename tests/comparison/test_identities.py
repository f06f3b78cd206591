"""Rows that are committed keep their identities: a plan still asks for the runs that it has."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from tfkd.comparison import read_plan
from tfkd.comparison.runs.job import jobs_of
from tfkd.comparison.runs.row_file import RowFile
from tfkd.records import Manifest

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(
    plan.parent.name
    for plan in ROOT.glob("benchmarks/quality/*/plan.*")
    if plan.with_name("rows.jsonl").exists()
)
# The manifests of the studies' records, as `prepare` wrote them when the rows were made. They are
# kept without shards: no file of theirs is read here.
MANIFESTS = json.loads(
    gzip.decompress(Path(__file__).with_name("study_manifests.json.gz").read_bytes())
)


@pytest.fixture
def study(tmp_path, request):
    """The plan of a study and its rows, beside records that consist of a manifest alone."""
    for name, facts in MANIFESTS.items():
        folder = tmp_path / "runs" / "records" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps(facts), "utf-8")
    # A copy, because a plan finds its records relative to itself.
    folder = shutil.copytree(
        ROOT / "benchmarks" / "quality" / request.param, tmp_path / "benchmarks" / "quality" / "one"
    )
    return next(folder.glob("plan.*")), RowFile(folder / "rows.jsonl")


@pytest.mark.parametrize("study", STUDIES, indirect=True)
def test_every_committed_row_is_asked_for(study):
    path, rows = study
    plan = read_plan(path)
    asked_for = {job.identity for job in jobs_of(plan, Manifest.load(plan.records))}
    committed = set(rows.read())
    assert len(committed) >= 6
    assert committed <= asked_for
