"""Whole volumes are scored as `tfkd evaluate` scores them, and read once."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfkd.cli.export_scores import WholeVolumeDice
from tfkd.records import Manifest
from tfkd.report import ModelInfo, evaluate, scoring
from tfkd.volumes import Volume


@pytest.fixture
def manifest(records: Path) -> Manifest:
    return Manifest.load(records)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cases in the order in which they are read."""
    read_case, read = scoring.read_case, []

    def noted(case, *others):
        read.append(case.case_id)
        return read_case(case, *others)

    monkeypatch.setattr(scoring, "read_case", noted)
    return read


def above(threshold_hu: float) -> Callable[[Volume], Volume]:
    return lambda ct: ct.with_array((ct.array > threshold_hu).astype(np.uint8))


def test_as_evaluate(manifest: Manifest, reads: list[str]) -> None:
    cases = manifest.case_files("train")
    score = WholeVolumeDice(manifest, cases)
    for threshold_hu in (0, 40):
        table = evaluate(above(threshold_hu), cases, ModelInfo("model"), manifest.label_names).table
        reads.clear()
        found = score(above(threshold_hu), "model")
        assert found == {"liver": table.mean_dice(1), "tumour": table.mean_dice(2)}
        assert 0 < found["liver"] < 1
    assert reads == []


def test_as_many_volumes_are_kept_as_there_is_room_for(
    manifest: Manifest, reads: list[str]
) -> None:
    cases = manifest.case_files("train")
    names = [case.case_id for case in cases]
    size = 8 * 32 * 32 * (2 + 1)  # int16 and uint8
    score = WholeVolumeDice(manifest, cases, most_bytes=size)
    first = score(above(0), "a")
    assert score(above(0), "b") == first
    assert reads == [*names, *names[1:]]


def test_scores_are_of_these_volumes_and_labels(manifest: Manifest) -> None:
    cases = manifest.case_files("validation")
    contexts = [
        WholeVolumeDice(one, cases).context()
        for one in (
            manifest,
            dataclasses.replace(manifest, target_labels=(2,)),
            dataclasses.replace(manifest, identity_affine="LPS"),
        )
    ]
    assert len(set(contexts)) == 3
    assert WholeVolumeDice(manifest, cases[:0]).context() not in contexts
