"""Checks of what a plan says, with errors that name the nearest things that exist."""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any

from tfkd.comparison.plan.value_types import fits, type_words
from tfkd.errors import PlanError

__all__ = ["as_table", "check_arguments", "check_known", "check_name", "typed_fields"]


def check_known(where: str, given: str, known: Collection[str], what: str = "key") -> None:
    """Raises a `PlanError` if `given` is not known.

    Args:
        where: Place in the plan, such as "[students.enet]".
        given: The name.
        known: All names that there are.
        what: What they are names of.
    """
    if given in known:
        return
    close = {name.casefold(): name for name in known}
    near = [close[one] for one in difflib.get_close_matches(given.casefold(), close, 3, 0.5)]
    hint = f"Nearest: {', '.join(near)}. " if near else ""
    raise PlanError(
        f"{where}: unknown {what} {given!r}. {hint}Known: {', '.join(known) or 'none'}."
    )


def check_name(where: str, name: str) -> None:
    """Raises a `PlanError` if a name cannot be that of a folder."""
    if not name or name.startswith(".") or not all(c.isalnum() or c in "_.+-" for c in name):
        raise PlanError(
            f"{where}: expected a name of letters, digits, '_', '.', '+' and '-', which is that of "
            f"a folder too. Received {name!r}."
        )


def as_table(where: str, value: Any) -> dict[str, Any]:
    """A table of the plan, as a dictionary with text for keys; a `PlanError` for anything else."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise PlanError(f"{where}: expected a table of keys and values. Received {value!r}.")
    return dict(value)


def check_arguments(where: str, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raises a `PlanError` if an argument is of another type than a function is annotated with.

    Args:
        where: Place in the plan.
        function: The function or class; arguments without an annotation are not judged.
        given: Arguments by name.
    """
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    # Annotations that only a type checker can read.
    except (NameError, AttributeError, SyntaxError, TypeError):
        return
    for name, value in given.items():
        hint = parameters[name].annotation if name in parameters else Any
        if not fits(value, hint):
            raise PlanError(f"{where} {name}: expected {type_words(hint)}. Received {value!r}.")


def typed_fields(where: str, given: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Values for fields of a dataclass, in the types that the fields have.

    Args:
        where: Place in the plan.
        given: Values by name; each must be the name of a field of a plain type, or of several or a
            few values of one.
        kind: The dataclass.

    Raises:
        PlanError: If a value is of another type.
    """
    hints = typing.get_type_hints(kind)
    names = {field.name for field in fields(kind)}
    return {
        key: _typed(f"{where} {key}", value, hints[key])
        for key, value in given.items()
        if key in names
    }


def _typed(where: str, value: Any, hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [one for one in typing.get_args(hint) if one is not type(None)]
        return None if value is None else _typed(where, value, kinds[0])
    if origin is tuple:
        of = typing.get_args(hint)[0]
        listed = value if isinstance(value, list | tuple) else [value]
        return tuple(_typed(where, one, of) for one in listed)
    if not fits(value, hint):
        raise PlanError(f"{where}: expected {type_words(hint)}. Received {value!r}.")
    return value if origin is typing.Literal else hint(value)
