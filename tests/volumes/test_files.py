"""Atomic writes and checksums."""

import hashlib
from pathlib import Path

import pytest

from tfkd.volumes import atomic_path, sha256_of


def test_the_file_appears_with_the_end_of_the_block(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "case.1.nii.gz"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.endswith(target.name)
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "mask.nii"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.json"):
        pass
    assert not list(tmp_path.iterdir())


def test_sha256(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc" * 100_000)
    assert sha256_of(file) == hashlib.sha256(b"abc" * 100_000).hexdigest()
