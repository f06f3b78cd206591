"""Types of the values that a plan can write: numbers, text, true and false, and lists of them."""

import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any

from tfkd.files import is_sane

__all__ = ["fits", "type_words"]

_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
_LISTED = {float: "numbers", int: "whole numbers", str: "names"}
_OF_PLANS = (str, bool, int, float, date, time, list, tuple, Mapping, type(None))


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that a field or an argument is annotated with.

    A whole number is a number too; true, false, NaN and infinity are none. What a plan cannot write
    is not judged, such as a schedule of Keras, nor is a type of such values: it fits.

    Args:
        value: The value.
        hint: The annotation.
    """
    if not isinstance(value, _OF_PLANS):
        return True
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in of)
    if origin is typing.Literal:
        return value in of
    if origin in (list, Sequence) and of:
        return isinstance(value, list | tuple) and all(fits(one, of[0]) for one in value)
    if hint in (None, type(None)):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and is_sane(value)
    if hint in (bool, int, str):
        right = isinstance(value, hint) and isinstance(value, bool) is (hint is bool)
        return right and is_sane(value)
    return True


def type_words(hint: Any) -> str:
    """What is expected of a value, in words, such as "a whole number" or "a list of names"."""
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_words(one) for one in of if one is not type(None))
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, of))}"
    if origin in (list, Sequence):
        return f"a list of {_LISTED.get(of[0], 'values')}"
    return _WORDS.get(hint, str(hint))
