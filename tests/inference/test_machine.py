"""What a process runs on."""

from pathlib import Path

import pytest

from tfkd.inference import machine


def test_the_cpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_model", lambda: "Some CPU")
    assert machine.machine_words().endswith("CPU cores (Some CPU)")


def test_where_the_system_does_not_say_it_there_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "none")
    monkeypatch.setattr(machine.platform, "processor", lambda: "arm")
    assert machine.cpu_model() == "arm"
