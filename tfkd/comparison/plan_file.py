"""A plan from a file, TOML or Python."""

import dataclasses
import runpy
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfkd.comparison.keys import check_known
from tfkd.comparison.plan import Plan
from tfkd.errors import PlanError

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
    """Puts the file's name before the message of a `PlanError`.

    Args:
        path: The plan that the block works on.
    """
    try:
        yield
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from error


def _of_toml(path: Path) -> Plan:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanError(f"expected a plan as TOML, but {error}.") from error
    known = [field.name for field in dataclasses.fields(Plan)]
    for key in tables:
        check_known("the plan", key, known)
    if not isinstance(tables.get("records"), str):
        raise PlanError("records: expected the folder of records, found none.")
    return Plan(**tables)


def _of_python(path: Path) -> Plan:
    if not path.is_file():
        raise PlanError("expected a Python file that defines `plan`, found no file.")
    plan: Any = runpy.run_path(str(path)).get("plan")
    if not isinstance(plan, Plan):
        raise PlanError(f"expected `plan = tfkd.comparison.Plan(...)`. Received {plan!r}.")
    return plan
