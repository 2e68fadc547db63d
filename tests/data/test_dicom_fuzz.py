"""Whatever is done to a DICOM series, it ends in a scan or in one clear line."""

import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
sys.path.append(BENCHMARKS)
from fuzzing import dicom as fuzzing  # noqa: E402 - it is no part of the package

sys.path.remove(BENCHMARKS)


@pytest.mark.parametrize("seed", fuzzing.SEEDS)
def test_every_seed_is_sound(tmp_path, seed):
    assert fuzzing.attempt(fuzzing.series(seed), tmp_path).volume.shape == (10, 8, 4)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(damage=fuzzing.damages())
def test_a_damaged_series_is_a_scan_or_one_line(damage):
    with tempfile.TemporaryDirectory() as folder:
        fuzzing.attempt(damage.apply(), Path(folder))
        assert {path.name for path in Path(folder).iterdir()} <= {"study", "out"}
