"""JSON read strictly: what Python's parser lets through and no later check would see."""

import json
import math
from typing import Any

__all__ = ["parse_json"]

# What fits 64 bits, signed or not.
_INTEGER_LIMIT = 2**64


def parse_json(content: bytes | str) -> Any:
    """Parses JSON, in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Unlike `json.loads`, each key of an object may be there once only, NaN and Infinity are no
    numbers, and a number must fit a float or 64 bits.

    Args:
        content: The text, or a file's bytes.

    Raises:
        ValueError: It is not such JSON, or is nested too deeply; says what was found, not where the
            content came from.

    Example:
        >>> parse_json('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
    """
    try:
        return json.loads(
            content,
            object_pairs_hook=_each_key_once,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    facts = dict(pairs)
    if len(facts) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return facts


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _integer(text: str) -> int:
    # The length first: Python is slow at reading thousands of digits, and refuses more than 4300.
    if len(text) > 21 or abs(int(text)) >= _INTEGER_LIMIT:
        raise ValueError(f"the number {_shortened(text)} is too large")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {_shortened(text)} is too large")
    return number


def _shortened(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:12]}… of {len(text)} digits"
