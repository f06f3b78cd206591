"""A teacher that was trained on other records than the students, such as ones with more masks."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.comparison.conftest import TABLES, TEST_CASES
from tfkd.comparison import Plan
from tfkd.comparison.runs.job import jobs_of, settings_of
from tfkd.comparison.runs.trainer import Trainer
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


@pytest.fixture
def make_records(records: Path, tmp_path: Path) -> Callable[..., Path]:
    """Records of the same patients, split otherwise."""

    def make(**split: Any) -> Path:
        folder = tmp_path / f"records{len(list(tmp_path.iterdir()))}"
        plan = SplitPlan(**{"train": ["0"], "validation": [], "test": [], **split})
        prepare(records.parent / "lits", folder, PreprocessSpec(size=(32, 32)), split=plan)
        return folder

    return make


def test_the_teacher_is_scored_anew_on_other_patients(
    make_plan: Callable[..., Plan], make_records: Callable[..., Path]
) -> None:
    own = make_records()
    identities = set()
    for test in (["2", "3"], ["2"]):
        folder = make_records(train=["0", "1"], test=test)
        plan = make_plan(records=folder, **_teacher(own))
        identities.add(jobs_of(plan, Manifest.load(folder))[0].identity)
    assert len(identities) == 2


@pytest.mark.parametrize(
    ("own", "keep", "named"),
    [
        ({"train": ["0", "2"], "test": ["1", "3"]}, "last", TEST_CASES[0]),
        ({"train": ["0", "1"]}, "last", "volume-1"),  # which the plan validates on
        ({"validation": ["2"]}, "best", TEST_CASES[0]),  # on which its epoch is chosen
        ({"validation": ["2"]}, "last", None),
        ({"validation": ["1"], "test": ["2", "3"]}, "best", None),
    ],
)
def test_a_teacher_has_not_seen_who_it_is_judged_on(
    make_plan: Callable[..., Plan],
    make_records: Callable[..., Path],
    own: dict[str, Any],
    keep: str,
    named: str | None,
) -> None:
    folder = make_records(train=["0"], validation=["1"], test=["2", "3"])
    teachers = _teacher(make_records(**own))
    teachers["teachers"]["big"]["keep"] = keep
    plan, manifest = make_plan(records=folder, **teachers), Manifest.load(folder)
    if named is None:
        assert jobs_of(plan, manifest)[0].kind == "teacher"
        return
    with pytest.raises(PlanError, match=rf"\[teachers.big\] records.*not seen.*{named}"):
        jobs_of(plan, manifest)


def test_a_best_epoch_needs_validation_patients_of_its_own(
    make_plan: Callable[..., Plan], make_records: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_records(train=["0"], validation=["1"], test=["2", "3"])
    own = make_records(test=["2", "3"])
    teachers = _teacher(own)
    teachers["teachers"]["big"]["keep"] = "best"
    plan, manifest = make_plan(records=folder, **teachers), Manifest.load(folder)
    with pytest.raises(PlanError, match=f"expected validation cases in {own}"):
        Trainer(plan, manifest, tmp_path).check(jobs_of(plan, manifest)[:1])


def test_records_that_are_gone(make_plan: Callable[..., Plan], manifest: Manifest) -> None:
    with pytest.raises(PlanError, match=r"\[teachers.big\] records: gone cannot be read"):
        jobs_of(make_plan(**_teacher(Path("gone"))), manifest)


@pytest.mark.parametrize(
    ("changed", "mentions"),
    [
        ({"label_names": ("background", "liver", "cyst")}, "cyst"),
        ({"spec": PreprocessSpec(size=(16, 16))}, r"\(16, 16\)"),
        ({"identity_affine": "RAS"}, "RAS"),
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
