"""Whole volumes are scored as `tfkd evaluate` scores them, and read once."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.evaluation import ModelInfo, VolumeScorer, evaluate, scorer
from tfkd.records import Manifest
from tfkd.volumes import Volume


@pytest.fixture
def manifest(records: Path) -> Manifest:
    return Manifest.load(records)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cases in the order in which they are read."""
    read_case, read = scorer.read_case, []

    def noted(case, *others):
        read.append(case.case_id)
        return read_case(case, *others)

    monkeypatch.setattr(scorer, "read_case", noted)
    return read


def above(threshold_hu: float) -> Callable[[Volume], Volume]:
    return lambda ct: ct.with_array((ct.array > threshold_hu).astype(np.uint8))


def test_as_evaluate(manifest: Manifest, reads: list[str]) -> None:
    cases = manifest.case_files("train")
    score = VolumeScorer(manifest, cases).label_dice
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
    score = VolumeScorer(manifest, cases, memory_bytes=size).label_dice
    first = score(above(0), "a")
    assert score(above(0), "b") == first
    assert reads == [*names, *names[1:]]


def test_scores_are_of_these_volumes_and_labels(manifest: Manifest) -> None:
    cases = manifest.case_files("validation")
    contexts = [
        VolumeScorer(one, cases).context()
        for one in (
            manifest,
            dataclasses.replace(manifest, target_labels=(2,)),
            dataclasses.replace(manifest, identity_affine="LPS"),
        )
    ]
    assert len(set(contexts)) == 3
    assert VolumeScorer(manifest, cases[:0]).context() not in contexts


def test_dice_of_every_case(manifest: Manifest) -> None:
    """As rows of a study keep it; None where neither truth nor mask holds the label."""
    cases = manifest.case_files("train")
    dice = VolumeScorer(manifest, cases).dice(above(0))
    table = evaluate(above(0), cases, ModelInfo("model"), manifest.label_names).table
    assert list(dice) == [case.case_id for case in cases]
    assert [scores[0] for scores in dice.values()] == [
        round(float(score), 6) for score in table.per_case(1)
    ]
    assert VolumeScorer(manifest, cases[:1]).dice(
        lambda ct: ct.with_array(np.zeros(ct.shape, np.uint8))
    ) == {cases[0].case_id: [0.0, 0.0]}


def test_volumes_that_changed_are_refused(manifest: Manifest) -> None:
    changed = tuple(dataclasses.replace(case, image_sha256="0" * 64) for case in manifest.cases)
    with pytest.raises(RecordError, match="no longer the file"):
        dataclasses.replace(manifest, cases=changed).case_files("test", verify=True)
