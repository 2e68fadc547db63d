"""Fixtures that every room's tests may use."""

import os
from pathlib import Path

import hypothesis
import pytest

# The same examples on every machine and every day; HYPOTHESIS_PROFILE=default looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; the test is skipped where there is none."""
    folder = Path(os.environ.get("PLGG_SHARED_DATA", BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set PLGG_SHARED_DATA)")
    return folder
