"""What goes wrong in one replica is known to all."""

import subprocess
import sys


def test_overflow_and_nan_in_one_of_two_replicas():
    result = subprocess.run(
        [sys.executable, "-m", "tests.distillation.replicas"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
