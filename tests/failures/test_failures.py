"""What is said of an error: one line with case and file, and a log with the traceback."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tfkd.errors import GeometryError
from tfkd.failures import explain, one_line, working_on
from tfkd.failures.working_on import place_of


class StubbornError(Exception):
    """Cannot be made again from its message alone, and so not come out of a worker."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def fail_on(kind: str) -> None:
    with working_on("volume-3", "data/volume-3.nii.gz"):
        if kind == "key":
            raise KeyError("")
        raise StubbornError("a", "b")


def caught(act: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as info:  # noqa: PT011 - of every kind
        act()
    return info.value


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def raise_within(error: Exception, *places: tuple[str | None, str | None]) -> Exception:
    def act(depth: int = 0) -> None:
        if depth == len(places):
            raise error
        with working_on(*places[depth]):
            act(depth + 1)

    return caught(act)


def test_case_and_file_are_named() -> None:
    error = raise_within(KeyError(""), ("volume-3", "data/volume-3.nii.gz"))
    line = explain(error, "predict")
    assert line.startswith("Case 'volume-3', file data/volume-3.nii.gz: unexpected KeyError: ''.")


def test_the_innermost_place_counts() -> None:
    error = raise_within(KeyError(1), ("a", "ct.nii"), (None, "mask.nii"), (None, None))
    assert place_of(error) == {"case_id": "a", "path": "mask.nii"}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (GeometryError("case 7: a/ct.nii is bad"), "case 7: a/ct.nii is bad"),
        (OSError("no space left"), "Case '7', file a/ct.nii: no space left"),
        (ValueError("ct.nii: 3 axes"), "Case '7': ct.nii: 3 axes"),
        (MemoryError(), "Case '7', file a/ct.nii: not enough memory."),
    ],
    ids=repr,
)
def test_what_a_message_names_is_not_named_twice(error: Exception, line: str) -> None:
    assert explain(raise_within(error, ("7", "a/ct.nii")), "predict") == line
    assert not any(Path().iterdir())


def test_the_place_comes_out_of_a_worker_process() -> None:
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    with ProcessPoolExecutor(1, context) as pool:
        for kind, said in (("key", "KeyError: ''"), ("stubborn", "StubbornError: ab")):
            error = caught(pool.submit(fail_on, kind).result)
            line = explain(error, "prepare")
            assert line.startswith("Case 'volume-3', file data/volume-3.nii.gz: unexpected ")
            assert said in line
    (log,) = Path().iterdir()
    assert "in fail_on" in log.read_text()


def test_many_errors_share_one_log() -> None:
    for number in range(3):
        explain(raise_within(KeyError(f"bug {number}")), "predict", ["predict", "a b.nii"])
    (log,) = Path().iterdir()
    assert log.name.startswith("tfkd_predict_error_")
    text = log.read_text()
    assert [f"KeyError: 'bug {number}'" in text for number in range(3)] == [True] * 3
    assert text.count("command: tfkd predict 'a b.nii'\n") == 1
    assert "numpy" in text


def test_a_folder_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfkd.failures import traceback_log

    gone, other = tmp_path / "gone", tmp_path / "temporary"
    other.mkdir()
    monkeypatch.setattr(traceback_log, "_current_folder", lambda: str(gone))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(other))
    line = explain(KeyError(1), "train")
    (log,) = other.iterdir()
    assert str(log) in line
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(gone))
    log.unlink()
    assert "TFKD_TRACEBACK=1" in explain(KeyError(1), "train")


def test_one_line_is_one_line_of_bearable_length() -> None:
    assert one_line("a\r\n\n  b\x0cc\u2028d\x1b[31m\udcff") == "a b c d\\x1b[31m\\udcff"
    assert len(one_line("x" * 10**6)) < 2100
