"""The package as a whole: what an edge device loads."""

import subprocess
import sys

import pytest

import tfkd.phantom
import tfkd.volumes


def test_import_is_light() -> None:
    heavy = ("tensorflow", "keras", "skimage", "matplotlib", "tfkd.phantom")
    code = f"import sys, tfkd.volumes; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in tfkd.volumes.__all__:
        assert getattr(tfkd.volumes, name) is not None


def test_the_phantom_answers_to_its_earlier_name() -> None:
    assert tfkd.volumes.write_phantom_cohort is tfkd.phantom.write_phantom_cohort


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="read_dicom"):
        _ = tfkd.volumes.read_dicom  # type: ignore[attr-defined]
