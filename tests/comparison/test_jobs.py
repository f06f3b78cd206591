"""The runs of a plan and their identities."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.comparison.conftest import TABLES
from tfkd.comparison import Plan
from tfkd.comparison.runs.job import jobs_of, records_identity, settings_of
from tfkd.errors import PlanError
from tfkd.records import Manifest
from tfkd.volumes import REFERENCE


def identities(plan: Plan, manifest: Manifest) -> dict[str, str]:
    return {job.title: job.identity for job in jobs_of(plan, manifest)}


def changed(one: dict[str, str], other: dict[str, str]) -> set[str]:
    assert one.keys() == other.keys()
    return {title for title in one if one[title] != other[title]}


IDENTITIES = ["7cf3080a", "1ae4a576", "1131c554"]
TEACHER = "teacher big"
PLAIN = {f"small, plain, seed {seed}" for seed in (0, 1)}
TAUGHT = {f"small ← big, kd, seed {seed}" for seed in (0, 1)}


def test_teachers_come_first_then_seed_by_seed(
    make_plan: Callable[..., Plan], manifest: Manifest
) -> None:
    jobs = jobs_of(make_plan(), manifest)
    assert [job.title for job in jobs] == [
        "teacher big",
        "small, plain, seed 0",
        "small ← big, kd, seed 0",
        "small, plain, seed 1",
        "small ← big, kd, seed 1",
    ]
    assert [job.exports for job in jobs] == [False, True, True, False, False]
    folders = [job.folder for job in jobs]
    assert len(set(folders)) == len(jobs)
    assert folders[2] == Path(f"runs/small/kd/seed_0-{jobs[2].identity[:8]}")
    assert jobs[2].taught_by == (jobs[0],)


def _with(part: str, name: str, **settings: Any) -> dict[str, Any]:
    return {part: {name: {**TABLES[part][name], **settings}}}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (_with("students", "small", learning_rate=1e-4), PLAIN | TAUGHT),
        (_with("students", "small", xla=True), set()),
        (_with("students", "small", cache_teacher=False), TAUGHT),
        (_with("methods", "kd", unlabelled_share=0.5), TAUGHT),
        (_with("methods", "kd", unlabelled_share=0.0), set()),
        (_with("teachers", "big", seed=1), {TEACHER} | TAUGHT),
        (_with("students", "small", dice_squares=True), PLAIN | TAUGHT),
        (_with("students", "small", focal_gamma=2.0, dice_share=0.5), set()),  # the defaults
        (_with("methods", "kd", ramp_epochs=2), TAUGHT),
        (_with("methods", "kd", revision=1), TAUGHT),
        (_with("methods", "kd", cache_teacher=False), TAUGHT),
        (_with("methods", "kd", weighting="confidence"), set()),  # of one teacher
        ({"training": {**TABLES["training"], "epochs": 3}}, PLAIN | TAUGHT),  # the teacher has own
        ({"training": {**TABLES["training"], "batch_size": 4}}, {TEACHER} | PLAIN | TAUGHT),
        ({"export": "all", "threads": 2}, set()),
        ({"revision": 1}, {TEACHER} | PLAIN | TAUGHT),
    ],
)
def test_an_identity_changes_with_what_the_result_depends_on(
    make_plan: Callable[..., Plan],
    manifest: Manifest,
    arguments: dict[str, Any],
    expected: set[str],
) -> None:
    before = identities(make_plan(), manifest)
    assert changed(before, identities(make_plan(**arguments), manifest)) == expected


def test_a_preset_and_the_same_losses_are_the_same(
    make_plan: Callable[..., Plan], manifest: Manifest
) -> None:
    loss = {"loss": "PredictionMapDistillation", "weight": 0.1}
    listed = {"m": {"losses": [loss]}}
    preset = {
        "m": {"preset": "emkd", "importance_weight": 0.0, "region_weight": 0.0, "taps": []},
    }
    one, other = (make_plan(methods=methods) for methods in (listed, preset))
    assert identities(one, manifest) == identities(other, manifest)


def test_records_are_known_wherever_they_lie(manifest: Manifest) -> None:
    moved = dataclasses.replace(manifest, source_root="/elsewhere", tfkd_version="9", shards=())
    assert records_identity(moved) == records_identity(manifest)
    other = dataclasses.replace(manifest, protocol=REFERENCE, target_labels=(1, 2))
    assert records_identity(other) != records_identity(manifest)
    other = dataclasses.replace(manifest, label_names=("background", "a", "b"))
    assert records_identity(other) != records_identity(manifest)


def test_what_the_plan_does_not_say_the_protocol_does(
    make_plan: Callable[..., Plan], manifest: Manifest
) -> None:
    reference = dataclasses.replace(manifest, protocol=REFERENCE)
    plan = make_plan(training={"epochs": 2})
    small = jobs_of(plan, reference)[1].settings
    assert (small.epochs, small.batch_size, small.learning_rate) == (2, 16, 1e-2)
    small = jobs_of(plan, manifest)[1].settings
    assert (small.epochs, small.batch_size, small.learning_rate) == (2, 8, 2e-3)


def test_identities_stay(make_plan: Callable[..., Plan], manifest: Manifest) -> None:
    """Rows are committed: who changes an identity makes them worthless."""
    jobs = jobs_of(make_plan(), dataclasses.replace(manifest, cases=()))
    assert [job.identity[:8] for job in jobs[:3]] == IDENTITIES


def test_a_trained_teacher_is_known_by_its_file(
    make_plan: Callable[..., Plan], manifest: Manifest, tmp_path: Path
) -> None:
    file = tmp_path / "teacher.keras"
    file.write_bytes(b"one")
    tables = {"big": {"file": str(file)}}
    one = identities(make_plan(teachers=tables), manifest)
    file.write_bytes(b"two")
    two = identities(make_plan(teachers=tables), manifest)
    assert changed(one, two) == {TEACHER} | TAUGHT
    file.unlink()
    with pytest.raises(PlanError, match=r"\[teachers\.big\] file: .* is not there"):
        identities(make_plan(teachers=tables), manifest)
    from hashlib import sha256

    tables["big"]["sha256"] = sha256(b"two").hexdigest()
    assert identities(make_plan(teachers=tables), manifest) == two


def test_weights_to_start_from_are_known_by_their_checksum(
    make_plan: Callable[..., Plan], manifest: Manifest, tmp_path: Path
) -> None:
    def plan(weights: Any, folder: Path) -> Plan:
        options = {"network": "MobileNetV2", "options": {"weights": weights}}
        return make_plan(students={"small": options}).relative_to(folder)

    before = identities(plan("imagenet", tmp_path), manifest)
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own.h5").write_bytes(content)
    here, moved, other = (plan("own.h5", tmp_path / name) for name in "abc")
    assert here.students["small"].options["weights"] == str(tmp_path / "a" / "own.h5")
    assert identities(here, manifest) == identities(moved, manifest)
    for one in (before, identities(other, manifest)):
        assert changed(one, identities(here, manifest)) == PLAIN | TAUGHT
    said = settings_of(jobs_of(plan(Path("own.h5"), tmp_path / "a"), manifest)[1])
    assert said["options"] == {"weights": "own.h5"}
    assert plan("imagenet", tmp_path).students["small"].options == {"weights": "imagenet"}
    assert plan(None, tmp_path).students["small"].options == {"weights": None}
    with pytest.raises(PlanError, match=r"small options weights: .*gone\.h5 is not there"):
        identities(plan("gone.h5", tmp_path), manifest)


def test_every_teacher_has_rows_of_its_own(
    make_plan: Callable[..., Plan], manifest: Manifest
) -> None:
    teachers = {"a": {"network": "UNet"}, "b": {"network": "UNet", "width": 0.5}}
    plan = make_plan(teachers=teachers, seeds=[0])
    titles = [job.title for job in jobs_of(plan, manifest)]
    assert titles[-2:] == ["small ← a, kd, seed 0", "small ← b, kd, seed 0"]
    both = {"kd": {**TABLES["methods"]["kd"], "teacher": ["a", "b"]}}
    plan = make_plan(teachers=teachers, seeds=[0], methods=both)
    assert jobs_of(plan, manifest)[-1].title == "small ← a + b, kd, seed 0"
