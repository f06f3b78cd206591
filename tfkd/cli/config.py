"""A command's settings: one frozen dataclass gives its flags, its TOML keys and their record."""

import argparse
import dataclasses
import json
import tomllib
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tfkd._version import __version__
from tfkd.errors import TfkdError
from tfkd.files import is_sane
from tfkd.volumes import atomic_path

__all__ = [
    "ConfigError",
    "DependentDefaults",
    "UsageError",
    "add_arguments",
    "check_same_settings",
    "check_suffix",
    "config_path",
    "option",
    "read_config",
    "write_config",
]

Config = TypeVar("Config")


class ConfigError(TfkdError):
    """A setting is unknown, missing, or of the wrong kind."""


class DependentDefaults(ABC):
    """A config some of whose defaults follow from what else it holds, such as the records."""

    @classmethod
    @abstractmethod
    def defaults_for(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Values for fields that the user has said nothing about.

        Args:
            settings: What the user has said, by field.
        """


class UsageError(ConfigError):
    """Neither the command line nor the TOML file says what the command cannot do without."""


def option(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    flag: str | None = None,
    earlier_names: Mapping[str, str] | None = None,
) -> Any:
    """Field of a command's config.

    Args:
        help: What it means, with units and range; shown by `--help`.
        default: Default value. A field without one is required.
        flag: Flag instead of a position, `--name`, or a short one beside it, `-n`. A field with a
            default always has its long flag.
        earlier_names: Today's name of a choice by one that it had in earlier versions, which is
            still taken, on the command line and from the files of earlier runs.
    """
    metadata = {"help": help, "flag": flag, "earlier_names": earlier_names or {}}
    return dataclasses.field(default=default, metadata=metadata)


def add_arguments(parser: argparse.ArgumentParser, config_class: type) -> None:
    """Adds one argument per field, and `--config`.

    No argument has a default here: what the command line does not say comes from the TOML file,
    and what that does not say from the dataclass.
    """
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        required, flag = field.default is dataclasses.MISSING, field.metadata["flag"]
        kind, count, choices = _shape(hints[field.name])
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": field.metadata["help"]}
        if not required and field.default not in (None, (), False):
            options["help"] += f" (default: {_shown(field.default)})"
        if choices:
            options["choices"] = choices
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            earlier = field.metadata["earlier_names"]
            options["type"] = _todays_name(earlier) if earlier else _CHECKED.get(kind, kind)
        if required and flag is None:
            # Optional for the parser, since it may come from the TOML file; checked afterwards.
            nargs = "*" if count == "+" else count or "?"
            parser.add_argument(field.name, nargs=nargs, **options | {"default": None})
            continue
        if required:
            options["help"] += " (required)"
        if count:
            options["nargs"] = count
        flags = dict.fromkeys([flag, "--" + field.name.replace("_", "-")])
        parser.add_argument(*filter(None, flags), dest=field.name, **options)
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file with any of these settings, such as the config.toml of an earlier run; "
        "the command line wins",
    )


def read_config(config_class: type[Config], command: str, given: dict[str, Any]) -> Config:
    """Builds the config of a run.

    Args:
        config_class: Dataclass of the command.
        command: Name of the command, which the file may state as `command = "…"`.
        given: What the command line said; `config` is the TOML file, if any.

    Raises:
        ConfigError: On an unknown key, a value of the wrong type, or a file that cannot be read.
        UsageError: If a required setting is missing.
    """
    path = given.pop("config", None)
    settings = _read_toml(path, config_class, command) if path is not None else {}
    # A list of positions that the command line leaves out is an empty one.
    said = {key: value for key, value in given.items() if value is not None and value != []}
    settings |= {key: tuple(v) if isinstance(v, list) else v for key, v in said.items()}
    if issubclass(config_class, DependentDefaults):
        settings = config_class.defaults_for(settings) | settings
    missing = [
        f"--{field.name}" if field.metadata["flag"] else field.name.upper()
        for field in dataclasses.fields(config_class)  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and settings.get(field.name) is None
    ]
    if missing:
        raise UsageError(f"expected {', '.join(missing)}. See tfkd {command} --help.")
    return config_class(**settings)


def write_config(config: Any, command: str, path: Path) -> None:
    """Writes the resolved settings as TOML, from which `--config` repeats the run."""
    lines = [f"# tfkd {__version__}", f"command = {json.dumps(command)}"]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is not None:
            lines.append(f"{field.name} = {_as_toml(value)}")
    with atomic_path(path) as temporary:
        # TOML cannot hold a file name that is not valid text; the run goes on all the same.
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")


def config_path(output: Path) -> Path:
    """Where the resolved config of an output lies: in the folder, or beside the file."""
    if output.is_dir():
        return output / "config.toml"
    stem = output.name.removesuffix(".gz")
    return output.with_name(f"{Path(stem).stem}.config.toml")


def check_suffix(output: Path, *suffixes: str) -> None:
    """Raises a `ConfigError` if the name of an output is of another kind, before any work."""
    if not output.name.endswith(suffixes):
        raise ConfigError(
            f"{output}: expected the name of a file to write that ends in {' or '.join(suffixes)}."
        )


def check_same_settings(config: Any, command: str, folder: Path, free: Sequence[str] = ()) -> None:
    """Refuses to go on with work that was begun with other settings: half of it would have them.

    Args:
        config: Settings of this run.
        command: Name of the command.
        folder: Folder of the run, with the config.toml of its begin, if it was begun.
        free: Settings that may differ.

    Raises:
        ConfigError: Naming the settings that differ.
    """
    begun_with = folder / "config.toml"
    if not begun_with.exists():
        return
    try:
        begun = read_config(type(config), command, {"config": begun_with})
    except ConfigError as error:  # settings that another version of tfkd had
        raise ConfigError(
            f"{folder}: expected work that this version of tfkd has begun. {error} Remove the "
            "folder or choose another one."
        ) from error
    other = [
        f"{field.name} {getattr(begun, field.name)}, not {getattr(config, field.name)}"
        for field in dataclasses.fields(config)
        if field.name not in free and getattr(begun, field.name) != getattr(config, field.name)
    ]
    if other:
        raise ConfigError(
            f"{folder}: holds unfinished work with other settings: {'; '.join(other)}. Go on with "
            f"tfkd {command} --config {begun_with}, or choose another folder."
        )


def _read_toml(path: Path, config_class: type, command: str) -> dict[str, Any]:
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: expected a TOML file of settings, but {error}.") from error
    other = settings.pop("command", command)
    if other != command:
        raise ConfigError(
            f"{path}: expected settings of `tfkd {command}`, found those of {other!r}."
        )
    hints = typing.get_type_hints(config_class)
    unknown = sorted(set(settings) - set(hints))
    if unknown:
        raise ConfigError(
            f"{path}: unknown setting {', '.join(unknown)}. Known ones: {', '.join(hints)}."
        )
    earlier = {
        field.name: field.metadata["earlier_names"] for field in dataclasses.fields(config_class)
    }
    settings = {
        key: earlier[key].get(value, value) if isinstance(value, str) else value
        for key, value in settings.items()
    }
    return {key: _convert(path, key, value, hints[key]) for key, value in settings.items()}


def _todays_name(earlier: Mapping[str, str]) -> Callable[[str], str]:
    return lambda text: earlier.get(text, text)


def _number(text: str) -> float:
    """A `float` of the command line; argparse says "invalid float value" of what is none."""
    number = float(text)
    if not is_sane(number):
        raise ValueError
    return number


def _whole_number(text: str) -> int:
    number = int(text)
    if not is_sane(number):
        raise ValueError
    return number


_number.__name__, _whole_number.__name__ = "float", "int"
_CHECKED: dict[Any, Callable[[str], Any]] = {float: _number, int: _whole_number}


def _convert(path: Path, key: str, value: Any, hint: Any) -> Any:
    kind, count, choices = _shape(hint)
    values = value if count else [value]
    fits = isinstance(values, list) and (not isinstance(count, int) or len(values) == count)
    accepts = {float: (int, float), Path: (str,)}.get(kind, (kind,))
    if fits:
        fits = all(
            isinstance(v, accepts) and isinstance(v, bool) == (kind is bool) and is_sane(v)
            for v in values
        )
    if not fits or (choices and value not in choices):
        expected = f"one of {choices}" if choices else kind.__name__ + (" list" if count else "")
        raise ConfigError(f"{path}: expected {key} as {expected}. Received {value!r:.80}.")
    converted = [kind(v) for v in values]
    return tuple(converted) if count else converted[0]


def _shape(hint: Any) -> tuple[type, int | str | None, tuple[Any, ...] | None]:
    """(type of one value, nargs or None for a single value, choices) of a field's annotation."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = [arg for arg in typing.get_args(hint) if arg is not type(None)]
    if typing.get_origin(hint) is tuple:
        args = typing.get_args(hint)
        count: int | str = "+" if args[-1] is Ellipsis else len(args)
        return args[0], count, None
    if typing.get_origin(hint) is typing.Literal:
        choices = typing.get_args(hint)
        return type(choices[0]), None, choices
    return hint, None, None


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _as_toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_as_toml(v) for v in value) + "]"
    # A JSON string, number or boolean is a TOML one.
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
