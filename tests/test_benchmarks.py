"""The benchmarks run, once and small, so that they cannot rot. Nothing is timed here."""

import subprocess
import sys
from pathlib import Path


def test_benchmarks_run():
    root = Path(__file__).resolve().parents[1]
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"], cwd=root, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    step = "Step[UNet, 64]"
    names = (
        "Slice[128]",
        "Losses[64]",
        f"{step}.time_tfkd",
        f"{step}.time_keras",
        "Training[UNet].time_cached",
        "Memory[UNet, 64]",
    )
    for name in names:
        assert name in result.stdout
