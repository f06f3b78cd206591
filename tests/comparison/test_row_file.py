"""The file of finished runs."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfkd.comparison.runs.row_file import RowFile

APPENDER = """
import sys
from tfkd.comparison.runs.row_file import RowFile

for number in range(40):
    row = {"identity": f"{sys.argv[2]} {number}", "dice": {"a": [0.5] * 2000}}
    RowFile(sys.argv[1]).append(row)
"""


def test_round_trip(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "new" / "rows.jsonl")
    assert rows.read() == {}
    rows.append({"identity": "a", "dice": {"ü": [0.5, None]}})
    rows.append({"identity": "b", "dice": {}})
    assert list(rows.read()) == ["a", "b"]
    assert rows.read()["a"]["dice"] == {"ü": [0.5, None]}
    assert len(rows.path.read_text("utf-8").splitlines()) == 2
    with pytest.raises(ValueError, match="not JSON compliant"):
        rows.append({"identity": "c", "dice": {"a": [float("nan")]}})
    assert list(rows.read()) == ["a", "b"]


@pytest.mark.filterwarnings("ignore:.*are none and are passed over")
def test_a_line_that_a_kill_has_left_is_removed(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.jsonl")
    rows.append({"identity": "a", "dice": {}})
    whole = rows.path.read_bytes()
    rows.path.write_bytes(whole + b'{"version": 1, "identity": "b", "di')
    assert list(rows.read()) == ["a"]
    rows.append({"identity": "c", "dice": {}})
    assert list(rows.read()) == ["a", "c"]
    assert rows.path.read_bytes().startswith(whole + b'{"version": 1, "identity": "c"')


def test_a_whole_line_without_its_end_stays(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.jsonl")
    rows.append({"identity": "a", "dice": {}})
    rows.path.write_bytes(rows.path.read_bytes().rstrip())
    rows.append({"identity": "b", "dice": {}})
    assert list(rows.read()) == ["a", "b"]


@pytest.mark.filterwarnings("ignore:.*are none and are passed over")
@pytest.mark.parametrize("last", [b'{"version": 99, "identity": "z"}', b">>>>>>> theirs"])
def test_a_line_of_another_kind_without_its_end_stays(tmp_path: Path, last: bytes) -> None:
    rows = RowFile(tmp_path / "rows.jsonl")
    rows.path.write_bytes(last)
    rows.append({"identity": "b", "dice": {}})
    assert rows.path.read_bytes().startswith(last + b"\n")
    assert list(rows.read()) == ["b"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fcntl")
def test_rows_are_kept_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "refused")

    monkeypatch.setattr("fcntl.flock", refuse)
    rows = RowFile(tmp_path / "rows.jsonl")
    rows.append({"identity": "a", "dice": {}})
    assert list(rows.read()) == ["a"]


def test_unknown_lines_are_passed_over_and_stay(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.jsonl")
    rows.append({"identity": "a", "dice": {"x": [1.0]}})
    merged = rows.path.read_text() + "<<<<<<< ours\n" + '{"version": 99}\n\n[1]\n'
    merged += json.dumps({"version": 1, "identity": "a", "dice": {"x": [0.0]}}) + "\n"
    rows.path.write_text(merged)
    with pytest.warns(UserWarning, match=r"rows\.jsonl: .* lines 2, 3, 5 are none"):
        assert rows.read()["a"]["dice"] == {"x": [1.0]}  # the first of two
    rows.append({"identity": "b", "dice": {}})
    assert rows.path.read_text().startswith(merged)


def test_a_row_is_completed_by_its_int8_file_and_by_nothing_else(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.jsonl")
    bare = {"identity": "a", "dice": {}, "mean_dice": 0.5, "int8": None, "seconds": {"export": 0.0}}
    file = {"int8": {"bytes": 9}, "seconds": {"export": 2.0}}
    rows.append(bare)
    rows.append({**bare, **file, "mean_dice": 0.7})  # another run
    assert rows.read()["a"]["int8"] is None
    rows.append({**bare, **file})
    rows.append(bare)  # as a merge may put it
    assert rows.read()["a"] == {"version": 1, **bare, **file}


def test_several_processes_append(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    command = [sys.executable, "-c", APPENDER, str(path)]
    processes = [subprocess.Popen([*command, name]) for name in ("one", "other")]
    assert [process.wait(60) for process in processes] == [0, 0]
    expected = {f"{name} {number}" for name in ("one", "other") for number in range(40)}
    assert set(RowFile(path).read()) == expected
    assert len(path.read_text().splitlines()) == 80
