"""A plan from a file, TOML or Python."""

import dataclasses
import runpy
import tomllib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfkd.comparison.plan.checks import check_known
from tfkd.comparison.plan.plan import Plan
from tfkd.errors import PlanError, RecordError

__all__ = ["naming_plan", "read_plan"]


def read_plan(path: str | Path) -> Plan:
    """Reads a plan; its relative paths are relative to the file.

    Args:
        path: A TOML file with the arguments of `Plan` as keys and tables, or a Python file that
            defines `plan = tfkd.comparison.Plan(...)`.

    Raises:
        PlanError: If the file cannot be read, or says what cannot be; names the file.
    """
    path = Path(path)
    with naming_plan(path):
        plan = _of_python(path) if path.suffix == ".py" else _of_toml(path)
    return plan.relative_to(path.absolute().parent)


@contextmanager
def naming_plan(path: str | Path) -> Iterator[None]:
    """Puts the file's name before the message of a `PlanError`, or of an error of its records.

    Args:
        path: The plan that the block works on.
    """
    try:
        yield
    except (PlanError, RecordError) as error:
        raise type(error)(f"{path}: {error}") from error


def _of_toml(path: Path) -> Plan:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanError(f"expected a plan as TOML, but {error}.") from error
    known = [field.name for field in dataclasses.fields(Plan)]
    for key in tables:
        check_known("the plan", key, known)
    if "records" not in tables:
        raise PlanError("records: expected the folder of records, found none.")
    return Plan(**tables)


def _of_python(path: Path) -> Plan:
    if not path.is_file():
        raise PlanError("expected a Python file that defines `plan`, found no file.")
    try:
        plan: Any = runpy.run_path(str(path)).get("plan")
    except PlanError as error:
        raise PlanError(f"{_place(error, path)}: {error}") from error
    # Whatever its code may raise, it is the plan that is to be corrected.
    except Exception as error:
        why = error.msg if isinstance(error, SyntaxError) else error
        raise PlanError(
            f"expected a Python file that defines `plan`, but {_place(error, path)} raises "
            f"{type(error).__name__}: {why}."
        ) from error
    if not isinstance(plan, Plan):
        raise PlanError(f"expected `plan = tfkd.comparison.Plan(...)`. Received {plan!r}.")
    return plan


def _place(error: Exception, path: Path) -> str:
    """The plan's line that an error is of, in words."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines = [error.lineno]
    return f"line {lines[-1]}" if lines else "its code"
