"""Values of JSON as a dataclass whose fields have types."""

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["is_sane", "kind_of", "typed"]

Record = TypeVar("Record")


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
        record: The dataclass, of texts, numbers, tuples, dicts, literals and such dataclasses.
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


def is_sane(value: object) -> bool:
    """Whether a number is one that a setting can mean: finite, and an integer within 64 bits.

    What is no number is left to others.
    """
    if isinstance(value, int):
        return abs(value) < 2**63
    return not isinstance(value, float) or math.isfinite(value)


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
    elif origin is typing.Literal:
        if value in inner and isinstance(value, str):
            return value
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
