"""Fixtures that every test may use."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

# Laid out as in CONTRIBUTING.md; beside the checkout unless the variable says otherwise.
SHARED_DATA = Path(
    os.environ.get("TFKD_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real labelled CT, which is not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real CT is not at {SHARED_DATA}; set TFKD_TEST_DATA")
    return SHARED_DATA
