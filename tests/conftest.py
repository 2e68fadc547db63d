"""Fixtures that every room's tests may use."""

import os
from collections.abc import Iterator
from pathlib import Path

# Before anything that reads it: two workers of the tests share the cores, and the work is tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

import hypothesis
import pytest

from shortcuts import plain_figures, without_syncs

without_syncs()

# The same examples on every machine and every day; HYPOTHESIS_PROFILE=default looks for new ones.
# No deadline: how long an example takes says something of the machine.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


# Begun first, the longest before the others, so that no worker is left with a long module when the
# other has ended; the rooms whose modules are all short come last.
LONG = (
    "test_whole_way", "test_on_ray", "test_api_examples", "test_browser", "test_experiment",
    "test_train_folds", "test_channels", "test_seeds_and_arms", "test_do_no_harm", "test_kill",
    "test_export", "test_shipped_model", "test_predict_batch", "test_old_data", "test_tutorials",
    "test_registration", "test_real_tasks", "test_resume", "test_upright", "test_transfer",
)  # fmt: skip
SHORT_ROOMS = ("config", "core", "data", "measure", "metrics")
# Pages of evaluations and pictures of stores come about by the way here; others look at them.
PAGES_BY_THE_WAY = (
    *("bids", "cli", "experiment", "export", "serve", "tasks", "train"),
    *("test_api_examples", "test_old_data", "test_preprocess_cohort", "test_channels"),
)
REAL_FIGURES = ("test_whole_way",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules and the rooms that take longest first; within them, the order stays."""
    items.sort(key=lambda item: _turn(item.path))


def _turn(path: Path) -> tuple[int, bool]:
    place = LONG.index(path.stem) if path.stem in LONG else len(LONG)
    return place, path.parent.name in SHORT_ROOMS


@pytest.fixture(scope="module", autouse=True)
def _figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where pages come about by the way, their figures are built and not drawn."""
    path = request.path
    if {path.parent.name, path.stem}.isdisjoint(PAGES_BY_THE_WAY) or path.stem in REAL_FIGURES:
        yield
        return
    with plain_figures():
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; the test is skipped where there is none."""
    folder = Path(os.environ.get("PLGG_SHARED_DATA", BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set PLGG_SHARED_DATA)")
    return folder
