"""What the numbers in a slice and in its mask mean."""

import json

import pytest

from tfkd.volumes import DataFacts, PreprocessSpec

NAMES = ("background", "liver")
FACTS = DataFacts(PreprocessSpec(size=(16, 16)), NAMES)


def test_round_trip():
    crop = PreprocessSpec(size=(16, 16), fit="center", field_size=(32, 32), context_slices=1)
    for facts in (FACTS, DataFacts(crop, NAMES)):
        assert DataFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


def test_equal_facts_have_no_differences():
    assert FACTS.differences(DataFacts(PreprocessSpec(size=(16, 16)), NAMES)) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"window_hu": (-1000, 1000)}, "window_hu (-1000, 1000) instead of (-60, 140)"),
        ({"output_range": (0, 1)}, "output_range (0, 1) instead of (-1, 1)"),
        ({"size": (8, 16)}, "size (8, 16) instead of (16, 16)"),
        ({"fit": "center"}, "fit center instead of resize"),
        ({"context_slices": 1}, "context_slices 1 instead of 0"),
    ],
)
def test_each_field_is_compared(changed, words):
    other = DataFacts(PreprocessSpec(**{"size": (16, 16), **changed}), NAMES)
    assert other.differences(FACTS) == [words]


def test_what_only_a_crop_has_is_compared():
    crop = {"size": (16, 16), "fit": "center"}
    plain, spaced, field = (
        DataFacts(PreprocessSpec(**crop, **more), NAMES)
        for more in ({}, {"spacing_mm": 1.5}, {"field_size": (32, 32)})
    )
    assert spaced.differences(plain) == ["spacing_mm 1.5 instead of None"]
    assert field.differences(plain) == ["field_size (32, 32) instead of None"]


def test_names_are_compared():
    other = DataFacts(FACTS.spec, ("background", "kidney"))
    assert other.differences(FACTS) == [
        "label_names (background, kidney) instead of (background, liver)"
    ]


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        {"version": 2},
        {"version": 1, "spec": {}, "label_names": "liver"},
        {"version": 1, "spec": {"window": 3}, "label_names": ["background"]},
        {"version": 1, "spec": {}, "label_names": ["background", 1]},
    ],
)
def test_something_else_is_refused(values):
    with pytest.raises(ValueError, match=r"xpected|Unknown key"):
        DataFacts.from_dict(values)
