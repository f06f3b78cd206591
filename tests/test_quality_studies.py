"""The plans of the accuracy studies can be read and built; nothing is trained here."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from tests.losses.check_loss import batch
from tfkd.comparison import read_plan
from tfkd.losses import prediction_map_loss, region_affinity_loss

STUDIES = Path(__file__).resolve().parents[1] / "benchmarks" / "quality"
PLANS = sorted(STUDIES.glob("*/plan.*"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.parent.name)
def test_plan(path):
    plan = read_plan(path)
    plan.check()
    assert len(plan.seeds) >= 3
    assert plan.methods or len(plan.students) > 1  # or compares what students learn without one


def test_every_plan_is_in_the_readme():
    text = (STUDIES / "README.md").read_text("utf-8")
    assert len(PLANS) >= 5
    assert all(f"`{path.parent.name}`" in text for path in PLANS)


@pytest.fixture(scope="module")
def variants():
    return runpy.run_path(str(STUDIES / "region_forms" / "variants.py"))


def test_default_form_is_the_librarys(variants):
    """With two regions or three, a mean over regions and a mean over pairs are the same."""
    teacher, student, labels = batch()
    form = variants["RegionVariant"]()
    expected = region_affinity_loss(teacher, student, labels)
    np.testing.assert_allclose(form.compute_loss(teacher, student, labels), expected, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"masks": "nearest", "centering": "none", "pairs": "background"},
        {"centering": "batch"},
        {"ring": 3},
        {"size_power": 0.5},
    ],
    ids=str,
)
def test_forms_compare(variants, settings):
    teacher, student, labels = batch()
    form = variants["RegionVariant"](**settings)
    np.testing.assert_allclose(form.compute_loss(teacher, teacher, labels), 0, atol=1e-6)
    assert np.all(np.asarray(form.compute_loss(teacher, student, labels))[1:] > 1e-3)


def test_class_temperature_of_one_value_is_the_balanced_loss(variants):
    teacher, student, labels = batch(channels=(3, 3))
    values = variants["ClassTemperature"](4.0, 4.0).compute_loss(teacher, student, labels)
    expected = prediction_map_loss(teacher, student, labels, temperature=4.0, balanced=True)
    np.testing.assert_allclose(values, expected, rtol=1e-4)
