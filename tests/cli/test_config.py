import argparse
import dataclasses
import tomllib
from pathlib import Path
from typing import Literal

import pytest

from tfkd.cli.config import (
    ConfigError,
    add_arguments,
    config_path,
    option,
    read_config,
    write_config,
)


@dataclasses.dataclass(frozen=True)
class Config:
    source: Path = option("where from")
    teacher: Path = option("who teaches", flag="--teacher")
    size: tuple[int, int] = option("pixels", default=(8, 9))
    names: tuple[str, ...] = option("several", default=())
    rate: float | None = option("a number", default=None)
    kind: Literal["a", "b"] = option(
        "one of two", default="a", flag="-k", earlier_names={"beta": "b"}
    )
    loud: bool = option("a switch", default=True)


def read(words: list[str]) -> Config:
    parser = argparse.ArgumentParser()
    add_arguments(parser, Config)
    return read_config(Config, "verb", vars(parser.parse_args(words)))


def test_command_line_and_defaults():
    config = read(["here", "--teacher", "t.keras", "--names", "7", "x", "-k", "b", "--no-loud"])
    assert config == Config(Path("here"), Path("t.keras"), names=("7", "x"), kind="b", loud=False)


def test_file_gives_defaults_and_the_command_line_wins(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('command = "verb"\nsource = "there"\nteacher = "t"\nsize = [1, 2]\nrate = 3\n')
    config = read(["--config", str(path), "--size", "5", "6"])
    assert config == Config(Path("there"), Path("t"), size=(5, 6), rate=3.0)


def test_a_choice_answers_to_its_earlier_name(tmp_path):
    assert read(["here", "--teacher", "t", "-k", "beta"]).kind == "b"
    path = tmp_path / "c.toml"
    path.write_text('source = "there"\nteacher = "t"\nkind = "beta"\n')
    assert read(["--config", str(path)]).kind == "b"
    with pytest.raises(SystemExit):
        read(["here", "--teacher", "t", "-k", "gamma"])


def test_resolved_config_repeats_the_run(tmp_path):
    config = Config(
        Path('a "quoted" \\ path/ü'), Path("t"), names=("1", "b"), rate=1e-5, loud=False
    )
    path = tmp_path / "c.toml"
    write_config(config, "verb", path)
    assert read(["--config", str(path)]) == config
    assert tomllib.loads(path.read_text())["command"] == "verb"


def test_a_write_that_fails_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "c.toml"
    write_config(Config(Path("a"), Path("t")), "verb", path)
    before = path.read_text()

    def die(self: Path, text: str, **options: str) -> None:
        self.write_bytes(b"half")
        raise OSError

    monkeypatch.setattr(Path, "write_text", die)
    with pytest.raises(OSError):  # noqa: PT011
        write_config(Config(Path("b"), Path("t")), "verb", path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sauce = 1", "unknown setting sauce.*Known ones: source"),
        ('command = "other"', "settings of .tfkd verb., found those of 'other'"),
        ("size = [1]", "size as int list.*Received"),
        ("size = 1", "size as int list"),
        ("rate = true", "rate as float"),
        ('kind = "c"', "kind as one of"),
        ("source = ", "expected a TOML file"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"(?s)c.toml: .*{message}"):
        read(["s", "--teacher", "t", "--config", str(path)])


def test_what_is_missing_is_named():
    with pytest.raises(ConfigError, match="expected SOURCE, --teacher"):
        read([])


def test_config_lies_in_the_folder_or_beside_the_file(tmp_path):
    assert config_path(tmp_path) == tmp_path / "config.toml"
    assert config_path(tmp_path / "mask.nii.gz").name == "mask.config.toml"
    assert config_path(tmp_path / "student.tflite").name == "student.config.toml"


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1" + "0" * 400])
def test_a_number_that_is_none(tmp_path, number):
    path = tmp_path / "c.toml"
    path.write_text(f'source = "there"\nteacher = "t"\nrate = {number}\n')
    with pytest.raises(ConfigError, match=r"c\.toml: expected rate as float"):
        read(["--config", str(path)])
    with pytest.raises(SystemExit):
        read(["here", "--teacher", "t", "--rate", number])
