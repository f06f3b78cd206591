from pathlib import Path
from typing import Any

import pytest

from tfkd.errors import RecordError
from tfkd.records.dataset_lists import case_lists, read_entries

ROOT = Path("task")
IMAGE, MASK = ROOT / "imagesTr/a.nii.gz", ROOT / "labelsTr/a.nii.gz"
PAIR = {"image": "./imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}


@pytest.mark.parametrize(
    "entry",
    [
        PAIR,
        {"images": ["imagesTr/a.nii.gz"], "label": "labelsTr/a.nii.gz"},
        {"image": ["imagesTr/a.nii.gz"], "label": ["labelsTr/a.nii.gz"], "fold": 0},
        {"image": "imagesTr\\a.nii.gz", "label": ".\\labelsTr\\a.nii.gz"},
    ],
)
def test_every_form_of_an_entry_gives_image_and_mask(entry: Any) -> None:
    (listed,) = read_entries("training", [entry], ROOT)
    assert (listed.name, listed.image, listed.mask) == (None, IMAGE, MASK)
    (listed,) = read_entries("training", {"patient 4": entry}, ROOT)
    assert (listed.name, listed.image, listed.mask) == ("patient 4", IMAGE, MASK)


@pytest.mark.parametrize("entry", ["imagesTr/a.nii.gz", {"image": "imagesTr/a.nii.gz"}])
def test_an_entry_may_have_no_mask(entry: Any) -> None:
    (listed,) = read_entries("test", [entry], ROOT)
    assert (listed.image, listed.mask) == (IMAGE, None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("imagesTr", "'training': expected a list of cases, received a text"),
        (3, "received a number"),
        ([PAIR, 7], "'training', entry 1: expected .* received a number"),
        ([[PAIR]], "'training', entry 0: expected .* received a list"),
        ([{"label": "a"}], "'training', entry 0: names no image.*received the keys label"),
        ([{}], "received the keys none"),
        ([{"image": "", "label": "a"}], "names no image"),
        ([PAIR | {"label": 5}], "'label': expected the path of a file, received a number"),
        ([PAIR | {"image": ["ct", "pet"]}], "expected one image .* received 2: ct, pet"),
        ({"c": None}, "entry 'c': expected .* received null"),
    ],
)
def test_other_forms_name_file_and_entry(value: Any, message: str) -> None:
    with pytest.raises(RecordError, match=rf"^task/dataset\.json: .*{message}"):
        read_entries("training", value, ROOT)


def test_lists_are_known_by_their_keys_or_by_their_entries() -> None:
    facts = {"training": [], "test": ["a"], "validation": None, "testing": [PAIR], "tags": ["a"]}
    assert list(case_lists(facts)) == ["training", "test", "testing"]
