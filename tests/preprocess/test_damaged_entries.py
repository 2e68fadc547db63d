"""An entry of a store that was damaged since is made again by a rerun; the others are kept."""

import json

import numpy as np
import pytest

from helper import write_case
from plgg.config import Config, GridConfig, PreprocessConfig
from plgg.core.errors import StoreError
from plgg.data.manifest import Case
from plgg.data.store import Store
from plgg.preprocess.cohort import preprocess_cohort

CENTRED = PreprocessConfig(registration="centre", stripping="none")
COARSE = Config(grid=GridConfig(spacing_mm=8.0), preprocess=CENTRED)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(content)


def lasting(name: str, content: bytes):
    """What of a file is the same each time it is made: of a record, all but seconds and seal."""
    if not name.endswith(".json"):
        return content
    record = json.loads(content)
    del record["quality"]["seconds"], record["seal"]
    return record


@pytest.mark.parametrize("name", ["image.b2nd", "mask.b2nd", "truth.nii.gz", "case.json"])
def test_a_damaged_entry_is_refused_and_made_again_by_a_rerun(name, tmp_path):
    cases = [
        Case(f"P{n}", f"P{n}", *write_case(tmp_path, f"P{n}", seed=n), marker) for n, marker in
        enumerate("ab")
    ]  # fmt: skip
    folder = tmp_path / "store"
    preprocess_cohort(cases, folder, COARSE)
    image = Store(folder).image("P0")
    good = {path: path.read_bytes() for path in (folder / "cases").rglob("*") if path.is_file()}
    times = {path: path.stat().st_mtime_ns for path in good}
    damaged = folder / "cases" / "P0" / name
    flip_a_bit(damaged)
    if name == "image.b2nd":
        with pytest.raises(StoreError, match=r"P0.*image\.b2nd"):
            Store(folder).image("P0")
    preprocess_cohort(cases, folder, COARSE)
    np.testing.assert_array_equal(Store(folder).image("P0"), image)
    assert lasting(name, damaged.read_bytes()) == lasting(name, good[damaged])
    untouched = [path for path in good if path.parent.name == "P1"]
    assert all(path.stat().st_mtime_ns == times[path] for path in untouched)
