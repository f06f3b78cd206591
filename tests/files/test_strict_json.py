"""What JSON may hold, and what Python's own parser would let through."""

import json

import pytest

from tfkd.files import parse_json


@pytest.mark.parametrize(
    "value",
    [{}, [], None, True, "ü", -1, 2**63, 1e300, {"a": {"a": [1, 2.5, {"b": None}]}}],
)
def test_as_json(value):
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_encodings(encoding):
    assert parse_json('{"ü": 1}'.encode(encoding)) == {"ü": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        ('{"a": {"b": 1, "b": 1}}', "the key 'b' is there twice"),
        ("[NaN]", "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ("1e400", "the number 1e400 is too large"),
        ("1" + "0" * 400, "of 401 digits is too large"),
        ("1" + "0" * 5000, "of 5001 digits is too large"),
        (str(2**64), "is too large"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        (b"\xff\xfe\xff", "codec can't decode"),
        (b'{"a": "\xff"}', "codec can't decode"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
        ("{'a': 1}", "double quotes"),
    ],
    ids=range(15),
)
def test_refused(content, said):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        parse_json(content)
    assert said in str(error.value)
