"""The lock of a run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tfkd.comparison.runs.run_lock import run_lock
from tfkd.volumes import file_lock

HOLDER = """
import sys
import time
from pathlib import Path
from tfkd.comparison.runs.run_lock import run_lock

with run_lock(Path(sys.argv[1])) as ours:
    print(ours, flush=True)
    time.sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fcntl")


def test_a_second_process_gets_it_once_the_first_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with run_lock(tmp_path / "run") as ours:
            assert not ours
        holder.kill()
        holder.wait(30)
    with run_lock(tmp_path / "run") as ours:
        assert ours


def test_without_locks_everyone_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "fcntl", None)
    with run_lock(tmp_path / "new") as one, run_lock(tmp_path / "new") as other:
        assert one
        assert other
