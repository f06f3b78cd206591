"""Fixtures that every test may use."""

import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The tests compile much and compute little, and pytest-xdist has a process on every core already.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pytest

pytest_plugins = ["tests.durations"]

# Laid out as in CONTRIBUTING.md; beside the checkout unless the variable says otherwise.
SHARED_DATA = Path(
    os.environ.get("TFKD_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What has been imported stays: no collection of garbage, as after a conversion, looks at it.

    The million objects of TensorFlow take a fifth of a second each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real labelled CT, which is not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real CT is not at {SHARED_DATA}; set TFKD_TEST_DATA")
    return SHARED_DATA
