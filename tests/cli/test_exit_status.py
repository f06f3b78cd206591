"""Every verb × what goes wrong: the exit status, one line, and nothing half-written."""

import importlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfkd.cli.main import VERBS, main
from tfkd.errors import TrainingInterrupted

BAD, OUT = "{bad}", "{out}"

# The inputs of each verb, one of them bad: words, and the bad one's suffix.
INPUTS: list[tuple[list[str], str]] = [
    (["prepare", BAD, OUT], ""),
    (["prepare", "{cohort}", OUT, "--unlabelled", BAD], ""),
    (["preflight", BAD], ".keras"),
    (["train", BAD, OUT], ""),
    (["distill", BAD, OUT, "--teacher", "{network}"], ""),
    (["distill", "{records}", OUT, "--teacher", BAD], ".keras"),
    (["evaluate", BAD, "{records}", "-o", OUT + ".json"], ".tflite"),
    (["evaluate", BAD, "{records}", "-o", OUT + ".json"], ".keras"),
    (["evaluate", BAD, "{records}", "-o", OUT + ".json"], ".zip"),
    (["evaluate", "{file}", BAD, "-o", OUT + ".json"], ""),
    (["export", BAD, OUT + ".tflite", "-r", "{records}"], ".keras"),
    (["export", "{network}", OUT + ".tflite", "-r", BAD], ""),
    (["bundle", BAD, OUT + ".zip"], ".tflite"),
    (["bundle", "{file}", OUT + ".zip", "--records", BAD], ""),
    (["check", BAD], ".zip"),
    (["check", BAD], ".tflite"),
    (["bench", BAD], ".zip"),
    (["predict", BAD, "{ct}", "-o", OUT + ".nii.gz"], ".tflite"),
    (["predict", BAD, "{ct}", "-o", OUT + ".nii.gz"], ".zip"),
    (["predict", "{file}", BAD, "-o", OUT + ".nii.gz"], ".nii.gz"),
    (["report", BAD], ""),
    (["compare", BAD], ".toml"),
    (["compare", BAD], ".py"),
    (["demo", "--out", OUT, "--data", BAD], ""),
    *(([verb, "--config", BAD], ".toml") for verb in VERBS),
]


def absent(path: Path) -> None:
    pass


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4)


def empty_folder(path: Path) -> None:
    path.mkdir()


def link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("gone")


def pipe(path: Path) -> None:
    os.mkfifo(path)


KINDS = (absent, empty_file, garbage, empty_folder, link_loop, link_to_nothing, pipe)
# Settings and plans may come through a pipe from another program, as in `--config <(make)`.
CASES = [
    pytest.param(*given, kind, id=f"{' '.join(given[0])}-{given[1]}-{kind.__name__}")
    for given in INPUTS
    for kind in KINDS
    if not (kind is pipe and given[1] in (".toml", ".py"))
]


class WaitsForEver(BaseException):
    """Which no verb takes for an error of its own."""


@pytest.fixture
def time_limit() -> Iterator[None]:
    """Waiting for ever, as for a pipe that nobody writes to, is a failure."""

    def too_long(*_: object) -> None:
        raise WaitsForEver

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def good(cohort: Path, records: Path, models: Path, exported: Path) -> dict[str, str]:
    """Inputs that are as they should be."""
    return {
        "cohort": str(cohort),
        "records": str(records),
        "network": str(models / "fitting.keras"),
        "file": str(exported),
        "ct": str(cohort / "volume-0.nii.gz"),
    }


def one_error_line(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a user sees of an error, once warnings and notes are taken away."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    errors = [line for line in lines if line.startswith(f"tfkd {verb}: error: ")]
    rest = [line for line in lines if line not in errors]
    assert len(errors) == 1, lines
    assert all(line.startswith(("tfkd: warning: ", f"tfkd {verb}: ")) for line in rest), rest
    return errors[0]


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize(("words", "suffix", "kind"), CASES)
@pytest.mark.usefixtures("time_limit")
def test_a_bad_input(words, suffix, kind, good, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / f"bad{suffix}"
    kind(bad)
    before = files_below(tmp_path)
    capsys.readouterr()
    given = [word.format(bad=bad, out=tmp_path / "out", **good) for word in words]
    # An empty settings file leaves what the verb needs unsaid, which is wrong usage.
    unsaid = "--config" in words and kind is empty_file
    assert main(given) == (2 if unsaid else 1)
    line = one_error_line(words[0], capsys)
    assert unsaid or str(bad) in line
    assert "unexpected" not in line
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyError("spacing"), 1, "error: unexpected KeyError: 'spacing'"),
        (AttributeError("no attribute"), 1, "error: unexpected AttributeError: no attribute"),
        (RecursionError("too deep"), 1, "error: unexpected RecursionError: too deep"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), 1, "error: 'utf-8' codec"),
        (MemoryError(), 1, "error: not enough memory."),
        (ValueError("two\nlines"), 1, "error: two lines"),
        (OSError(28, "No space left on device", "out"), 1, "error: [Errno 28] No space left"),
        (TrainingInterrupted("saved"), 75, "saved; run the same command to go on"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command to go on"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_inside(verb, error, status, said, tmp_path, monkeypatch, capsys):
    def fail(config: object) -> None:
        raise error

    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"tfkd.cli.{verb}")
    monkeypatch.setattr(module, "run", fail)
    monkeypatch.setattr("tfkd.cli.main.read_config", lambda *_: None)
    assert main([verb]) == status
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"tfkd {verb}: {said}")
    logs = list(tmp_path.glob(f"tfkd_{verb}_error_*.log"))
    assert len(logs) == ("unexpected" in line)
    assert all(str(log) in line and "Traceback" in log.read_text("utf-8") for log in logs)


@pytest.mark.parametrize("verb", VERBS)
def test_wrong_usage(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--no-such-flag"])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
