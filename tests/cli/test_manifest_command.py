"""`plgg manifest` as a user runs it, and what `plgg check` says of its result."""

import shutil

from helper import write_case
from program import one_line, plgg


def test_a_folder_becomes_a_manifest_that_the_check_reads(tmp_path):
    for seed, name in enumerate(("P001", "P002"), start=1):
        write_case(tmp_path / "data", name, seed=seed)
    (tmp_path / "data" / "P003").mkdir()
    done = plgg("manifest", "folder", "data", cwd=tmp_path, status=1)
    assert "2 patients, 2 scans, 2 with a mask, 0 with a marker, 1 left out" in done.out
    assert one_line(done).startswith("plgg: P003: has no FLAIR")
    assert plgg("check", "manifest.csv", "--json", cwd=tmp_path).json()["n_errors"] == 0
    shutil.rmtree(tmp_path / "data" / "P003")
    plgg("manifest", "folder", "data", cwd=tmp_path)


def test_refusals_are_one_line(tmp_path):
    assert "no such folder" in one_line(plgg("manifest", "bids", tmp_path / "none", status=2))
    assert "brats-peds" in one_line(plgg("manifest", "brat", tmp_path, status=2))
    assert "--out" in one_line(plgg("manifest", "bids", ".", cwd=tmp_path, status=2))
