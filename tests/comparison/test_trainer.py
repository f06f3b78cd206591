"""What a run draws from the records."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.comparison.conftest import TABLES
from tfkd import records as records_package
from tfkd.comparison import Plan
from tfkd.comparison.runs.job import jobs_of
from tfkd.comparison.runs.time_left import seconds_left
from tfkd.comparison.runs.trainer import Trainer, _whole_seconds
from tfkd.errors import PlanError
from tfkd.models import UNet, save_network
from tfkd.records import Manifest
from tfkd.volumes import DataFacts


def test_slices_without_labels_are_drawn_by_the_methods_that_want_them(
    make_plan: Callable[..., Plan],
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    methods = {"kd": {**TABLES["methods"]["kd"], "unlabelled_share": 0.25}}
    plan = make_plan(methods=methods, seeds=[0])
    shares: list[float] = []

    def load(*arguments: Any, sampling: Any, **settings: Any) -> None:
        assert sampling.empty_share == manifest.protocol.empty_share
        shares.append(sampling.unlabelled_share)

    monkeypatch.setattr(records_package, "load", load)
    trainer = Trainer(plan, manifest, tmp_path)
    for job in jobs_of(plan, manifest):
        trainer._data(job)
    assert shares == [0.0, 0.0, 0.25]  # teacher, plain, method


def test_a_share_of_slices_that_are_none_is_refused(
    make_plan: Callable[..., Plan], manifest: Manifest, tmp_path: Path
) -> None:
    methods = {"kd": {**TABLES["methods"]["kd"], "unlabelled_share": 0.25}}
    plan = make_plan(methods=methods, seeds=[0])
    with pytest.raises(PlanError, match=r"\[methods.kd\] unlabelled_share: .* found none"):
        Trainer(plan, manifest, tmp_path).check(jobs_of(plan, manifest)[-1:])


def test_share_is_checked(make_plan: Callable[..., Plan]) -> None:
    methods = {"kd": {**TABLES["methods"]["kd"], "unlabelled_share": 1.0}}
    with pytest.raises(PlanError, match=r"\[methods.kd\] unlabelled_share: expected at least 0"):
        make_plan(methods=methods)


def test_time_of_a_training_is_not_guessed_from_its_last_steps(
    make_plan: Callable[..., Plan], manifest: Manifest, make_row: Callable[..., dict[str, Any]]
) -> None:
    assert _whole_seconds(8.0, 40, 100) == 20.0
    assert _whole_seconds(8.0, 9, 100) is None
    assert _whole_seconds(8.0, 0, 100) is None
    job = jobs_of(make_plan(), manifest)[1]
    row = make_row(job, seconds={"training": None, "scoring": 1.0, "export": 0.0})
    assert seconds_left([job], [(job, row)]) is None


def test_a_teachers_file_that_is_gone_is_named_with_the_run(
    make_plan: Callable[..., Plan], manifest: Manifest, tmp_path: Path
) -> None:
    teachers = {"big": {"file": str(tmp_path / "gone.keras"), "sha256": "00"}}
    plan = make_plan(teachers=teachers, methods={})
    with pytest.raises(PlanError, match=r"teacher big: .*gone\.keras"):
        Trainer(plan, manifest, tmp_path).check(jobs_of(plan, manifest)[:1])


def test_a_teacher_of_another_window_is_refused(
    make_plan: Callable[..., Plan], manifest: Manifest, tmp_path: Path
) -> None:
    network = UNet(manifest.spec.input_shape, manifest.num_classes, 0.05)
    wide = dataclasses.replace(manifest.spec, window_hu=(-1000.0, 1000.0))
    save_network(network, tmp_path / "wide.keras", DataFacts(wide, manifest.label_names))
    plan = make_plan(teachers={"wide": {"file": str(tmp_path / "wide.keras")}}, seeds=[0])
    with pytest.raises(PlanError, match=r"wide\.keras .*window_hu \(-1000, 1000\) instead of"):
        Trainer(plan, manifest, tmp_path).check(jobs_of(plan, manifest))
