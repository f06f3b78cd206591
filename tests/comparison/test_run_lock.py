"""The lock of a run."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfkd.comparison import run_lock as module
from tfkd.comparison.run_lock import run_lock

HOLDER = """
import sys
import time
from pathlib import Path
from tfkd.comparison.run_lock import run_lock

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
    def refuse(*_: Any) -> None:
        raise OSError(number, "refused")

    with monkeypatch.context() as patch:
        patch.setattr(module.fcntl, "flock", refuse)
        number = errno.ENOLCK
        with run_lock(tmp_path) as ours:
            assert ours
        number = errno.EIO
        with pytest.raises(OSError, match="refused"), run_lock(tmp_path):
            pass
    monkeypatch.setattr(module, "fcntl", None)
    with run_lock(tmp_path / "new") as one, run_lock(tmp_path / "new") as other:
        assert one
        assert other
