"""The volumes that rows are scored on."""

import dataclasses

import pytest

from tfkd.comparison.runs.scored_volumes import ScoredVolumes
from tfkd.errors import RecordError
from tfkd.records import Manifest


def test_changed_volumes_are_refused(manifest: Manifest) -> None:
    ScoredVolumes(manifest)
    cases = tuple(dataclasses.replace(case, image_sha256="0" * 64) for case in manifest.cases)
    with pytest.raises(RecordError, match="volume-2"):
        ScoredVolumes(dataclasses.replace(manifest, cases=cases))
