from pathlib import Path
from typing import Any

import pytest

from tfkd.errors import RecordError
from tfkd.records.dataset_labels import read_labels

PATH = Path("task/dataset.json")
NAMES = ("background", "liver", "spleen")


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "liver": 1, "spleen": 2},
        {"spleen": 2, "background": 0, "liver": [1]},
        {"0": "background", "2": "spleen", "1": "liver"},
        {"00": "background", "02": "spleen", "01": "liver"},
        {"background": "0", "liver": "1", "spleen": "2"},
    ],
)
def test_every_form_gives_names_in_the_order_of_their_values(labels: dict[str, Any]) -> None:
    assert read_labels(labels, PATH) == (NAMES, None)


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        ({"background": 0, "liver": 1, "spleen": 2, "ignore": 3}, 3),
        ({"background": 0, "liver": 1, "spleen": 2, "Ignore": 255}, 255),
        ({"0": "background", "1": "liver", "2": "spleen", "3": "ignore"}, 3),
    ],
)
def test_ignore_is_no_class(labels: dict[str, Any], value: int) -> None:
    assert read_labels(labels, PATH) == (NAMES, value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "missing or empty"),
        (["background", "liver"], "'labels' is a list"),
        ({"background": 0}, "a label beside the background"),
        ({"background": 0, "liver": [1, 2]}, "'liver' has the values.*region-based"),
        ({"background": 0, "liver": 1, "tumour": 3}, "without gaps"),
        ({"background": 0, "liver": 1, "Leber": 1}, "value 1 has two names, 'liver' and 'Leber'"),
        ({"0": "background", "1": "liver", "01": "Leber"}, "value 1 has two names"),
        ({"0": "background", "1": "kidney", "2": "kidney"}, "1 and 2 have one name"),
        ({"background": 0, "liver": 1, "Liver": 2}, "1 and 2 have one name"),
        ({"liver": 1, "spleen": 2}, "no label has the value 0"),
        ({"liver": 0, "background": 1}, "background has the value 1"),
        ({"background": 0, "liver": -1}, "without gaps"),
        ({"background": 0, "liver": 1.0}, "1.0, which is not a whole number"),
        ({"background": 0, "liver": float("nan")}, "nan, which is not a whole number"),
        ({"background": 0, "liver": True}, "True, which is not a whole number"),
        ({"background": 0, "liver": "one"}, "'one', which is not a whole number"),
        ({"background": 0, "liver": None}, "None, which is not a whole number"),
        ({"background": 0, "liver": {"a": 1}}, "not a whole number"),
        ({"background": 0, " liver": 1}, "label 1 is called ' liver'"),
        ({"background": 0, "": 1}, "label 1 is called ''"),
        ({"background": 0, "liver\n": 1}, "label 1 is called"),
        ({"background": 0, "ignore": 1, "liver": 2}, "'ignore' has the value 1.*highest"),
        ({"background": 0, "liver": 1, "ignore": 7}, "value after the last class, 2, or 255"),
    ],
)
def test_what_is_not_one_to_one_is_refused(labels: Any, message: str) -> None:
    with pytest.raises(RecordError, match=rf"^task/dataset\.json: .*{message}"):
        read_labels(labels, PATH)
