"""Teachers and students of a plan."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from tfkd.comparison.plan.checks import as_table, check_arguments, check_known, typed_fields
from tfkd.comparison.plan.settings import Settings
from tfkd.errors import PlanError
from tfkd.models import STUDENTS, TEACHERS
from tfkd.models.arguments import WIDTH_RANGE
from tfkd.volumes import sha256_of

__all__ = ["Network"]

_OWN = ("network", "width", "options")
_OF_TEACHERS = ("file", "sha256", "seed", "records")
_NAMED_WEIGHTS = (None, "imagenet")


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of a plan and how it is trained.

    Attributes:
        name: Its name in the plan.
        settings: How it is trained.
        network: Name of the network, see `tfkd.models.build`; empty for a teacher from a file.
        width: Factor on its channels.
        options: What that network takes besides, such as `{"weights": "imagenet"}`; a file of
            weights is known by its checksum, wherever it lies, and has to be there.
        file: A trained teacher, `.keras`.
        sha256: Checksum of that file, so that its rows are known where it is not.
        seed: Seed of a teacher.
        records: Records that a teacher is trained on, if not the plan's, such as ones with masks
            that the students do not get. The spec and the labels must be the same.
    """

    name: str
    settings: Settings
    network: str = ""
    width: float = 1.0
    options: Mapping[str, Any]
    file: str | None = None
    sha256: str | None = None
    seed: int = 0
    records: str | None = None

    @classmethod
    def parse(cls, where: str, name: str, table: Any, training: Settings, teacher: bool) -> Self:
        """Reads a table of a plan.

        Args:
            where: Place in the plan, for errors.
            name: Name of the teacher or student.
            table: What the plan says of it.
            training: The plan's settings, which own ones override.
            teacher: Whether it is a teacher.

        Raises:
            PlanError: If a key or the network is unknown, or a value cannot be.
        """
        given = as_table(where, table)
        known = _OWN + (_OF_TEACHERS if teacher else ())
        for key in given:
            check_known(where, key, known + Settings.names())
        for key in ("file", "records"):
            if isinstance(given.get(key), Path):
                given[key] = str(given[key])
        options = _options(f"{where} options", given.pop("options", {}))
        own = {key: given.pop(key) for key in known if key in given}
        fields = typed_fields(where, own, cls)
        if ("file" in fields) == ("network" in fields):
            expected = "either a `network` or the `file` of one" if teacher else "a `network`"
            raise PlanError(f"{where}: expected {expected}. Received {sorted(fields) or 'none'}.")
        if "file" in fields and "records" in fields:
            raise PlanError(
                f"{where}: expected `file`, a trained teacher, or the `records` to train one on. "
                "Received both."
            )
        if "file" in fields and options:
            raise PlanError(f"{where}: expected `file`, or `network` and its `options`, not both.")
        if "network" in fields:
            fields["network"] = _network(where, fields["network"])
        least, most = WIDTH_RANGE
        if not least <= fields.get("width", 1.0) <= most:
            raise PlanError(
                f"{where} width: expected {least} to {most}, where 1 is the published network. "
                f"Received {fields['width']}."
            )
        settings = training.updated(where, given)
        return cls(name=name, settings=settings, options=options, **fields)

    def relative_to(self, folder: Path) -> Self:
        """The same network, its relative paths being below a folder."""
        file = None if self.file is None else str(folder / self.file)
        records = None if self.records is None else str(folder / self.records)
        options = self.options_with(lambda weights: str(folder / weights))
        return replace(self, file=file, records=records, options=options)

    def options_with(self, change: Callable[[Path], str]) -> dict[str, Any]:
        """The options, with something else in the place of a file of weights.

        Args:
            change: Gives, for the path of the file, what takes its place. Not called for weights
                that have a name, such as "imagenet".
        """
        options = dict(self.options)
        if options.get("weights") not in _NAMED_WEIGHTS:
            options["weights"] = change(Path(options["weights"]))
        return options

    def check_options(self, where: str) -> None:
        """Raises a `PlanError` if the network does not take an option; imports Keras."""
        if not self.options:
            return
        package = "teachers" if self.network in TEACHERS else "students"
        builder = getattr(importlib.import_module(f"tfkd.models.{package}"), self.network)
        known = list(inspect.signature(builder).parameters)[3:]
        for key in self.options:
            check_known(f"{where} options", key, known, f"option of {self.network}")
        check_arguments(f"{where} options", builder, self.options)
        from tfkd.models.imagenet import check_weights

        try:
            check_weights(self.network, self.options.get("weights"), self.width)
        except ValueError as error:
            raise PlanError(f"{where} options: {error}") from error

    def identity(self, *, distilled: bool = False) -> dict[str, Any]:
        """What determines the network that a training gives, besides data and seed.

        Raises:
            PlanError: If it is a file that is not there, and no checksum is given, or if weights to
                start from are not there.
        """
        if self.file is not None:
            instead = ", or give its `sha256` too, by which rows made elsewhere are known"
            where = f"[teachers.{self.name}] file"
            return {"file": self.sha256 or _checksum(where, Path(self.file), instead)}
        return {
            "network": self.network,
            "width": self.width,
            "options": self.options_with(
                lambda weights: _checksum(f"{self.name} options weights", weights)
            ),
            "settings": self.settings.identity(distilled=distilled),
        }


def _options(where: str, given: Any) -> dict[str, Any]:
    options = as_table(where, given)
    weights = options.get("weights")
    if isinstance(weights, Path):
        options["weights"] = str(weights)
    elif not isinstance(weights, str | None):
        raise PlanError(f'{where} weights: expected "imagenet" or a file. Received {weights!r}.')
    return options


def _network(where: str, name: str) -> str:
    """The network's own way of writing its name."""
    plain = {_plain(known): known for known in TEACHERS + STUDENTS}
    if _plain(name) not in plain:
        check_known(f"{where} network", name, TEACHERS + STUDENTS, "network")
    return plain[_plain(name)]


def _plain(name: str) -> str:
    """As `tfkd.models.build` compares names."""
    return name.casefold().replace("-", "").replace("_", "").replace("+", "plus")


def _checksum(where: str, path: Path, instead: str = "") -> str:
    if not path.is_file():
        raise PlanError(f"{where}: {path} is not there. Bring it{instead}.")
    return sha256_of(path)
