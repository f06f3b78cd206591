import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tfkd.records.folder_lock import folder_lock
from tfkd.volumes import file_lock

HOLDER = """
import sys
import time
from pathlib import Path
from tfkd.records.folder_lock import folder_lock

with folder_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fcntl")
def test_another_process_is_waited_for_until_it_is_killed(tmp_path: Path) -> None:
    entered = threading.Event()

    def enter() -> None:
        with pytest.warns(UserWarning, match="waiting for another process"), folder_lock(tmp_path):
            entered.set()

    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.3)
        holder.kill()
        assert entered.wait(30)
        thread.join()


def test_without_locks_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "fcntl", None)
    with folder_lock(tmp_path / "new"), folder_lock(tmp_path / "new"):
        pass
