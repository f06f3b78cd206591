"""What is to be compared: teachers × students × methods × seeds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tfkd.comparison.plan.checks import as_table, check_known, check_name, typed_fields
from tfkd.comparison.plan.method import PLAIN, Method
from tfkd.comparison.plan.plan_network import Network
from tfkd.comparison.plan.settings import Settings
from tfkd.errors import PlanError

__all__ = ["Plan"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A comparison of distillation methods.

    Every student is trained without a teacher ("plain") and with each method, with every seed;
    all rows of a student have its settings, so equal epochs, schedule and data.

    Args:
        records: Folder of records, made by `tfkd prepare`.
        seeds: Seeds of the students' trainings.
        training: Settings of every training by name, see `Settings`.
        teachers: Tables by name: `network`, `width`, `options`, `seed` and, if they are not the
            plan's, `records`; or `file` (and `sha256`) for a trained one; and any setting, for this
            teacher only.
        students: Tables by name: `network`, `width`, `options`, and any setting, for all rows of
            this student.
        methods: Tables by name, see `Method`: a `preset` with its arguments, or `losses`; and
            `teacher`, `ramp_epochs`, `weighting`, `cache_teacher`, `unlabelled_share`, `revision`.
        export: Whose int8 files are made and measured: the first seed's of each student and method,
            all, or none. Asked for later, they are made of the networks that are still there.
        threads: Threads that the time per slice of an int8 file is measured with.
        source: Folder of the volumes, if it is not where the records were made from.
        revision: To be raised by hand to have all rows made anew.

    Raises:
        PlanError: If a key or name is unknown, or a value cannot be.

    Example:
        >>> plan = Plan(
        ...     records="records/abdomen128",
        ...     teachers={"unet": {"network": "UNet", "width": 0.25}},
        ...     students={"enet": {"network": "ENet", "width": 0.5}},
        ...     methods={"emkd": {"preset": "emkd"}},
        ...     training={"epochs": 20},
        ... )
        >>> plan.students["enet"].settings.epochs
        20
    """

    records: str | Path
    seeds: Sequence[int] = (0, 1, 2)
    training: Any = field(default_factory=dict)
    teachers: Any = field(default_factory=dict)
    students: Any = field(default_factory=dict)
    methods: Any = field(default_factory=dict)
    export: Literal["first", "all", "none"] = "first"
    threads: int = 1
    source: str | Path | None = None
    revision: int = 0

    def __post_init__(self) -> None:
        said = {"export": self.export, "threads": self.threads, "revision": self.revision}
        typed_fields("plan", said, Plan)
        if self.threads < 1:
            raise PlanError(f"threads: expected at least 1. Received {self.threads}.")
        self._set("records", _folder("records", self.records))
        self._set("source", None if self.source is None else _folder("source", self.source))
        self._set("seeds", _seeds(self.seeds))
        shared = _training(self.training)
        self._set("training", shared)
        self._set("teachers", self._networks("teachers", self.teachers, shared))
        self._set("students", self._networks("students", self.students, shared))
        self._set("methods", self._methods())

    def relative_to(self, folder: Path) -> "Plan":
        """The same plan, its relative paths being below a folder."""
        plan = replace(self)  # reads itself again, so that nothing is shared
        plan._set("records", folder / plan.records)
        plan._set("source", None if plan.source is None else folder / plan.source)
        for kind in ("teachers", "students"):
            networks = getattr(plan, kind).items()
            plan._set(kind, {name: one.relative_to(folder) for name, one in networks})
        return plan

    def teachers_of(self, method: Method) -> list[tuple[str, ...]]:
        """Who teaches in the rows of a method: names of teachers for each."""
        return [method.teacher] if method.teacher else [(name,) for name in self.teachers]

    def check(self) -> None:
        """Looks up what only Keras and the library know: presets, losses, options of networks.

        Raises:
            PlanError: If one does not exist.
        """
        for kind in ("teachers", "students"):
            for name, network in getattr(self, kind).items():
                network.check_options(f"[{kind}.{name}]")
        for method in self.methods.values():
            method.build()

    def _networks(self, kind: str, tables: Any, training: Settings) -> dict[str, Network]:
        parsed = {}
        for name, table in as_table(f"[{kind}]", tables).items():
            if isinstance(table, Network):
                parsed[name] = table
                continue
            check_name(f"[{kind}]", name)
            where = f"[{kind}.{name}]"
            parsed[name] = Network.parse(where, name, table, training, kind == "teachers")
        return parsed

    def _methods(self) -> dict[str, Method]:
        parsed = {}
        for name, table in as_table("[methods]", self.methods).items():
            where = f"[methods.{name}]"
            check_name("[methods]", name)
            if name == PLAIN:
                raise PlanError(f"{where}: the student without a teacher is always there.")
            method = table if isinstance(table, Method) else Method.parse(where, name, table)
            for teacher in method.teacher:
                check_known(f"{where} teacher", teacher, self.teachers, "teacher")
            parsed[name] = method
        if parsed and not self.teachers:
            raise PlanError("[teachers]: expected at least one, which the methods need.")
        if not self.students and not self.teachers:
            raise PlanError("[students]: expected at least one.")
        return parsed

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def _folder(where: str, given: Any) -> Path:
    if not isinstance(given, str | os.PathLike):
        raise PlanError(f"{where}: expected a folder, as text. Received {given!r}.")
    return Path(given)


def _training(given: Any) -> Settings:
    if isinstance(given, Settings):
        return given
    table = as_table("[training]", given)
    for key in table:
        check_known("[training]", key, Settings.names())
    return Settings().updated("[training]", table)


def _seeds(seeds: Any) -> tuple[int, ...]:
    listed = list(seeds) if isinstance(seeds, Sequence) else []
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in listed)
    if not listed or not whole or len(set(listed)) < len(listed) or min(listed) < 0:
        raise PlanError(f"seeds: expected different whole numbers from 0 on. Received {seeds!r}.")
    return tuple(listed)
