"""JSON by other hands: one object, each key once, values of the types that a dataclass states."""

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tfkd.errors import RecordError
from tfkd.files import parse_json

__all__ = ["kind_of", "read_object", "typed"]

Record = TypeVar("Record")


def read_object(path: Path) -> dict[str, Any]:
    """Reads the object in a JSON file, in UTF-8, UTF-16 or UTF-32, with or without a mark.

    Raises:
        RecordError: If the file holds something else, or a key twice.
    """
    content = path.read_bytes()
    if not content.strip():
        raise RecordError(f"{path}: expected a JSON object, but the file is empty.")
    try:
        facts = parse_json(content)
    except ValueError as error:
        raise RecordError(
            f"{path}: expected JSON, received something else: {error}. Correct the file, and save "
            f"it as UTF-8."
        ) from error
    if not isinstance(facts, dict):
        raise RecordError(f"{path}: expected a JSON object, received {kind_of(facts)}.")
    return facts


def kind_of(value: Any) -> str:
    """What a value of JSON is, in words: ``a list``."""
    if value is None:
        return "null"
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return kinds.get(type(value), "a number")


def typed(
    record: type[Record], facts: Any, ready: Mapping[str, Any] = types.MappingProxyType({})
) -> Record:
    """Makes a dataclass of what `dataclasses.asdict` and JSON made of one.

    Args:
        record: The dataclass, of texts, numbers, tuples, dicts and other such dataclasses.
        facts: The object; lists stand for tuples. Fields with a default may be missing.
        ready: Values of fields that are not read here.

    Raises:
        ValueError: If a field is missing, unknown or of another type; names it.
    """
    if not isinstance(facts, dict):
        raise ValueError(f"expected an object, received {kind_of(facts)}")
    hints = _hints(record)  # type: ignore[arg-type]
    values = dict(ready)
    for name, value in facts.items():
        if name not in hints:
            raise ValueError(f"unknown entry {name!r}")
        if name not in ready:
            values[name] = _as_type(value, hints[name], repr(name))
    missing = [
        field.name
        for field in dataclasses.fields(record)  # type: ignore[arg-type]
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"the entry {missing[0]!r} is missing")
    return record(**values)


@functools.cache
def _hints(record: Any) -> dict[str, Any]:
    return typing.get_type_hints(record)


@functools.cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return typing.get_origin(hint), typing.get_args(hint)


def _as_type(value: Any, hint: Any, where: str) -> Any:
    origin, inner = _parts(hint)
    if origin is tuple and isinstance(value, list):
        if inner[-1] is Ellipsis:
            return tuple(_as_type(one, inner[0], where) for one in value)
        if len(inner) == len(value):
            both = zip(value, inner, strict=True)
            return tuple(_as_type(one, of, where) for one, of in both)
    elif origin is dict and isinstance(value, dict):
        return {key: _as_type(one, inner[1], f"{where}, {key!r}") for key, one in value.items()}
    elif origin is types.UnionType:
        kind = next((of for of in inner if of is not types.NoneType), None)
        return None if value is None else _as_type(value, kind, where)
    elif dataclasses.is_dataclass(hint):
        try:
            return typed(hint, value)  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    elif hint is float and type(value) in (int, float):
        # Beyond 1e300 a number is a mistake, and an integer may not even fit a float.
        if abs(value) < 1e300 and math.isfinite(value):
            return float(value)
    elif (
        type(value) is hint and hint in (str, bool, int) and (hint is not int or abs(value) < 2**63)
    ):
        return value
    raise ValueError(f"{where}: expected {_words(hint)}, received {_shown(value)}")


def _words(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _shown(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, int) or abs(value) < 1e18 else "a huge number"
    return text if len(text) <= 60 else f"{text[:57]}..."
