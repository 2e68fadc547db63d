"""Whatever is done to a NIfTI file, it ends in a scan or in one clear line, within its budget."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
sys.path.append(BENCHMARKS)
from fuzzing import nifti as fuzzing  # noqa: E402 - it is no part of the package

sys.path.remove(BENCHMARKS)


@pytest.mark.parametrize("seed", fuzzing.SEEDS)
def test_every_seed_is_sound(tmp_path, seed):
    scan = fuzzing.attempt(fuzzing.File("scan.nii", fuzzing.seed_bytes(seed)), tmp_path)
    assert scan.volume.shape == fuzzing.SHAPE
    np.testing.assert_allclose(scan.volume.spacing_mm, (1.0, 1.2, 4.0), atol=1e-6)


def test_a_damaged_file_is_a_scan_or_one_line(tmp_path):
    found = []
    tracemalloc.start()
    for number in range(300):
        found.append(fuzzing.attempt(fuzzing.damaged(number), tmp_path))
        assert {path.name for path in tmp_path.iterdir()} <= set(fuzzing.NAMES)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < fuzzing.LIMIT_BYTES + 2**25
    # Damage that is always refused, or never, would try little.
    assert 0.1 < sum(scan is None for scan in found) / len(found) < 0.9
