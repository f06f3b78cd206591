"""Rows that are committed keep their identities: a plan still asks for the runs that it has."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from tfkd.comparison import read_plan
from tfkd.comparison.runs import job
from tfkd.comparison.runs.job import jobs_of, records_identity
from tfkd.comparison.runs.row_file import RowFile
from tfkd.records import Manifest

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(
    plan.parent.name
    for plan in ROOT.glob("benchmarks/quality/*/plan.*")
    if plan.with_name("rows.jsonl").exists()
)
# Of the studies' records, as they were when the rows were made: what a plan asks of a manifest,
# without what the slices show. The identity of that is not the one of the whole manifest, which is
# kept beside it.
RECORDS = json.loads(
    gzip.decompress(Path(__file__).with_name("study_manifests.json.gz").read_bytes())
)


@pytest.fixture
def study(tmp_path, request, monkeypatch):
    """The plan of a study and its rows, beside records that consist of a manifest alone."""
    for name, facts in RECORDS.items():
        folder = tmp_path / "runs" / "records" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps(facts["manifest"]), "utf-8")
    whole = {facts["identity_of_stub"]: facts["identity"] for facts in RECORDS.values()}
    monkeypatch.setattr(job, "records_identity", lambda one: whole[records_identity(one)])
    # A copy, because a plan finds its records relative to itself.
    folder = shutil.copytree(
        ROOT / "benchmarks" / "quality" / request.param, tmp_path / "benchmarks" / "quality" / "one"
    )
    return next(folder.glob("plan.*")), RowFile(folder / "rows.jsonl")


@pytest.mark.parametrize("study", STUDIES, indirect=True)
def test_every_committed_row_is_asked_for(study):
    path, rows = study
    plan = read_plan(path)
    asked_for = {one.identity for one in jobs_of(plan, Manifest.load(plan.records))}
    committed = set(rows.read())
    assert len(committed) >= 6
    assert committed <= asked_for
