"""Where a row was made."""

import pytest

from tfkd.comparison.runs.provenance import provenance


def test_the_cpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfkd.inference.machine.cpu_model", lambda: "Some CPU")
    assert "CPU cores (Some CPU)" in provenance()["machine"]
