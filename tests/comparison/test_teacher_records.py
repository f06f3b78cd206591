"""A teacher that was trained on other records than the students, such as ones with more masks."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.comparison.conftest import TABLES, TEST_CASES
from tfkd.comparison import Plan
from tfkd.comparison.jobs import jobs_of, settings_of
from tfkd.comparison.trainer import Trainer
from tfkd.errors import PlanError
from tfkd.records import Manifest, SplitPlan, find_source, prepare
from tfkd.volumes import REFERENCE, PreprocessSpec


def _teacher(folder: Path) -> dict[str, Any]:
    return {"teachers": {"big": {**TABLES["teachers"]["big"], "records": folder}}}


@pytest.fixture
def few(records: Path, tmp_path: Path) -> Path:
    """Records of the same patients; of the first training patient's CT nobody drew the mask."""
    (tmp_path / "lits").mkdir()
    for file in (records.parent / "lits").iterdir():
        if file.name != "segmentation-0.nii.gz":
            (tmp_path / "lits" / file.name).symlink_to(file)
    split = SplitPlan(train=["0", "1"], validation=[], test=["2", "3"])
    source = find_source(tmp_path / "lits", missing_masks="keep")
    prepare(source, tmp_path / "few", PreprocessSpec(size=(32, 32)), split=split)
    return tmp_path / "few"


def test_the_teacher_is_that_of_a_plan_on_its_records(
    make_plan: Callable[..., Plan], records: Path, manifest: Manifest, few: Path
) -> None:
    of_few = jobs_of(make_plan(records=few, **_teacher(records)), Manifest.load(few))
    of_all = jobs_of(make_plan(), manifest)
    assert of_few[0].identity == of_all[0].identity
    assert all(
        one.identity != other.identity for one, other in zip(of_few[1:], of_all[1:], strict=True)
    )
    without = jobs_of(make_plan(records=few), Manifest.load(few))
    assert without[0].identity != of_few[0].identity
    assert settings_of(of_few[0])["records"] == records.name
    assert "records" not in settings_of(without[0])


def test_each_is_trained_on_its_own(
    make_plan: Callable[..., Plan], records: Path, few: Path, tmp_path: Path
) -> None:
    plan, manifest = make_plan(records=few, **_teacher(records)), Manifest.load(few)
    trainer = Trainer(plan, manifest, tmp_path / "runs")
    teacher, plain = jobs_of(plan, manifest)[:2]
    masks = [trainer._data(job).manifest.unlabelled_slices_of("train") for job in (teacher, plain)]
    assert not masks[0]
    assert masks[1]


def test_a_teacher_has_not_seen_who_it_is_judged_on(
    make_plan: Callable[..., Plan], records: Path, manifest: Manifest, tmp_path: Path
) -> None:
    split = SplitPlan(train=["0", "2"], validation=[], test=["1", "3"])
    prepare(records.parent / "lits", tmp_path / "more", manifest.spec, split=split)
    with pytest.raises(PlanError, match=rf"\[teachers.big\] records.*{TEST_CASES[0]}"):
        jobs_of(make_plan(**_teacher(tmp_path / "more")), manifest)


@pytest.mark.parametrize(
    ("changed", "mentions"),
    [
        ({"label_names": ("background", "liver", "cyst")}, "cyst"),
        ({"spec": PreprocessSpec(size=(16, 16))}, "16"),
        ({"protocol": REFERENCE}, "reference"),
    ],
)
def test_records_of_another_kind_are_refused(
    make_plan: Callable[..., Plan],
    records: Path,
    manifest: Manifest,
    changed: dict[str, Any],
    mentions: str,
) -> None:
    other = dataclasses.replace(manifest, **changed)
    with pytest.raises(PlanError, match=mentions):
        jobs_of(make_plan(**_teacher(records)), other)
