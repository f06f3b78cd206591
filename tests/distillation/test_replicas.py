"""What goes wrong in one replica is known to all, and what has no label counts in none."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("checks", [[], ["unlabelled"]], ids=["failures", "unlabelled"])
def test_two_replicas(checks):
    result = subprocess.run(
        [sys.executable, "-m", "tests.distillation.replicas", *checks],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
