"""What a run draws from the records."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.comparison.conftest import TABLES
from tfkd import records as records_package
from tfkd.comparison import Plan
from tfkd.comparison.jobs import jobs_of
from tfkd.comparison.trainer import Trainer
from tfkd.errors import PlanError
from tfkd.records import Manifest


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


def test_slices_without_labels_add_no_steps(
    make_plan: Callable[..., Plan],
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    methods = {"kd": {**TABLES["methods"]["kd"], "unlabelled_share": 0.25}}
    plan = make_plan(methods=methods, seeds=[0], training={"batch_size": 2})

    def load(*arguments: Any, sampling: Any, steps_per_epoch: int | None, **_: Any) -> Any:
        steps = steps_per_epoch or (9 if sampling.unlabelled_share else 5)
        return SimpleNamespace(sampling=sampling, steps_per_epoch=steps)

    monkeypatch.setattr(records_package, "load", load)
    data = Trainer(plan, manifest, tmp_path)._data(jobs_of(plan, manifest)[-1])
    assert (data.steps_per_epoch, data.sampling.unlabelled_share) == (5, 0.25)


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
