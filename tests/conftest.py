"""Fixtures that every room's tests may use."""

import os
from pathlib import Path

# Before anything that reads it: two workers of the tests share the cores, and the work is tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

import hypothesis
import pytest

# The same examples on every machine and every day; HYPOTHESIS_PROFILE=default looks for new ones.
# No deadline: how long an example takes says something of the machine.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


# Begun first, so that no worker is left with a long module when the other has ended.
LONG = ("cli", "experiment", "export", "preprocess", "train", "transfer")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the rooms that take longest first; within them, the order stays."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; the test is skipped where there is none."""
    folder = Path(os.environ.get("PLGG_SHARED_DATA", BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set PLGG_SHARED_DATA)")
    return folder
