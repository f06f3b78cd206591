"""Where the system has no locks."""

import errno
import sys
from pathlib import Path
from typing import Any

import pytest

from tfkd.volumes import file_lock
from tfkd.volumes.file_lock import lock


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fcntl")
@pytest.mark.parametrize("wait", [False, True])
def test_a_file_system_without_locks_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: bool
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(file_lock.fcntl, "flock", refuse)
    with (tmp_path / "file").open("ab") as file:
        number = errno.ENOLCK
        assert lock(file, wait=wait)
        number = errno.EIO
        with pytest.raises(OSError, match="refused"):
            lock(file, wait=wait)
