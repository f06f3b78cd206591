import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tfkd.errors import RecordError
from tfkd.files import kind_of, typed
from tfkd.records.json_file import read_object


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    size: float


@dataclasses.dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    pair: tuple[int, str]
    table: dict[str, tuple[str, ...]]
    note: str | None
    done: bool = False


WHOLE = Whole((Part("a", 1.5), Part("b", 2.0)), (1, "x"), {"k": ("v",)}, None)
FACTS: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(WHOLE)))


def test_a_dataclass_comes_back() -> None:
    assert typed(Whole, FACTS) == WHOLE
    assert typed(Whole, FACTS | {"note": "n", "done": True}).note == "n"
    assert typed(Whole, FACTS | {"pair": "unread"}, {"pair": (1, "x")}) == WHOLE
    del (shorter := dict(FACTS))["done"]
    assert typed(Whole, shorter) == WHOLE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"other": 1}, "unknown entry 'other'"),
        ({"parts": None}, "'parts': expected .*received null"),
        ({"parts": [{"name": "a"}]}, "'parts': the entry 'size' is missing"),
        ({"parts": ["a"]}, "'parts': expected an object, received a text"),
        ({"parts": [{"name": "a", "size": "big"}]}, "'parts': 'size': expected float, rec"),
        ({"parts": [{"name": "a", "size": float("nan")}]}, "received NaN"),
        ({"parts": [{"name": "a", "size": 10**400}]}, "received a huge number"),
        ({"pair": [1]}, r"'pair': expected tuple\[int, str\], received \[1\]"),
        ({"pair": [True, "x"]}, "'pair': expected int, received true"),
        ({"pair": [1.0, "x"]}, "'pair': expected int, received 1.0"),
        ({"pair": [10**400, "x"]}, "received a huge number"),
        ({"table": {"k": [1]}}, "'table', 'k': expected str, received 1"),
        ({"table": []}, "'table': expected dict"),
        ({"note": 1}, "'note': expected str, received 1"),
        ({"done": 1}, "'done': expected bool, received 1"),
    ],
)
def test_other_types_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        typed(Whole, FACTS | changes)


def test_a_missing_entry_is_named() -> None:
    with pytest.raises(ValueError, match="the entry 'note' is missing"):
        typed(Whole, {name: value for name, value in FACTS.items() if name != "note"})


def test_values_are_told_in_words() -> None:
    values = (None, {}, [], "", True, 1, 1.5)
    words = ("null", "an object", "a list", "a text", "true or false", "a number", "a number")
    assert tuple(map(kind_of, values)) == words


def test_an_object_is_read_once_per_key(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}', encoding="utf-16")
    assert read_object(path) == {"a": 1}
    path.write_text('{"a": {"b": 1, "b": 2}}')
    with pytest.raises(RecordError, match=r"a\.json: .*the key 'b' is there twice"):
        read_object(path)
