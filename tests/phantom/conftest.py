"""One small cohort that the tests of the phantom room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from plgg.data.manifest import Case
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import PhantomSettings


@pytest.fixture(scope="session")
def cohort_settings() -> PhantomSettings:
    return PhantomSettings(n_patients=4, seed=3, second_scans=0.25)


@pytest.fixture(scope="session")
def cohort(
    cohort_settings: PhantomSettings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Case]]:
    out = tmp_path_factory.mktemp("phantom")
    return out, make_cohort(out, cohort_settings)
