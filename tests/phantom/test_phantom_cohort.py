"""Laws of a synthetic cohort: repeatable, masks in the brain, counts exact, manifest readable."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from plgg.core.errors import ConfigError, OutputError
from plgg.core.files import sha256
from plgg.data.atlas.grid import AFFINE, SHAPE
from plgg.data.manifest import Case, read_manifest
from plgg.data.nifti.image import read_volume
from plgg.phantom.cohort import _plan_cohort, draw_markers, make_cohort
from plgg.phantom.plan import MAX_VOLUME_ML, MIN_VOLUME_ML
from plgg.phantom.settings import CLASSES, PhantomSettings, phantom_settings

Cohort = tuple[Path, list[Case]]


def _bytes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def test_same_seed_same_bytes_whatever_the_number_of_workers(tmp_path: Path):
    settings = phantom_settings(n_patients=3, seed=3, second_scans=0.34, spacing_mm=3.0)
    make_cohort(tmp_path / "one", settings)
    seen: list[tuple[int, int]] = []
    make_cohort(
        tmp_path / "two",
        settings,
        workers=2,
        progress=lambda done, of: seen.append((done, of)),
    )
    assert _bytes(tmp_path / "two") == _bytes(tmp_path / "one")
    assert seen == [(n, 4) for n in range(1, 5)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_scan_that_cannot_be_written_is_named_whoever_makes_it(tmp_path, workers):
    settings = phantom_settings(n_patients=3, seed=3, spacing_mm=4.0)
    (first, *_) = make_cohort(tmp_path, settings)
    first.flair.unlink()
    (first.flair / "something").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"could not be written .*Check free space") as raised:
        make_cohort(tmp_path, settings, workers=workers)
    assert raised.value.where == str(first.flair)
    assert not multiprocessing.active_children()


def test_manifest_reads_back_as_the_cases(cohort: Cohort):
    out, cases = cohort
    assert read_manifest(out / "manifest.csv") == cases


def test_grid_types_and_masks_inside_the_brain(cohort: Cohort):
    for case in cohort[1]:
        flair, mask = read_volume(case.flair), read_volume(case.mask)
        assert flair.shape == mask.shape == SHAPE
        assert np.allclose(flair.affine, AFFINE)
        assert np.allclose(mask.affine, AFFINE)
        assert set(np.unique(mask.data)) == {0, 1}
        assert not (mask.data.astype(bool) & (flair.data == 0)).any()
        assert 1_000 < (flair.data > 0).sum() / 1_000 < 1_900  # brain volume in mL
        volume_ml = mask.data.sum() * mask.voxel_volume_ml
        assert 0.9 * MIN_VOLUME_ML <= volume_ml <= 1.05 * MAX_VOLUME_ML


def test_second_scan_is_the_same_person_later_with_a_grown_tumour(cohort: Cohort):
    cases = cohort[1]
    by_patient = Counter(case.patient_id for case in cases)
    (patient,) = [name for name, n in by_patient.items() if n == 2]
    first, second = (case for case in cases if case.patient_id == patient)
    assert (first.case_id, second.case_id) == (patient, f"{patient}_2")
    assert first.marker == second.marker
    assert second.age_years > first.age_years
    before, after = (read_volume(case.mask).data > 0 for case in (first, second))
    assert after.sum() > 1.1 * before.sum()
    # The tumour of the first scan lies within that of the second, but for its mass effect.
    assert (before & after).sum() > 0.9 * before.sum()
    brains = [read_volume(case.flair).data > 0 for case in (first, second)]
    assert (brains[0] & brains[1]).sum() > 0.99 * brains[0].sum()


def test_patient_is_the_same_in_a_larger_cohort(tmp_path: Path):
    # At link 0 not even the marker, which the size of the cohort moves, can make a difference.
    small, large = (
        phantom_settings(n_patients=n, seed=3, link=0.0, spacing_mm=3.0) for n in (1, 2)
    )
    make_cohort(tmp_path / "a", small)
    make_cohort(tmp_path / "b", large)
    a, b = (_bytes(tmp_path / name) for name in "ab")
    name = "images/phantom-001_flair.nii.gz"
    assert a[name] == b[name]
    assert b[name] != b["images/phantom-002_flair.nii.gz"]


@pytest.mark.parametrize("population", ["child", "adult"])
@pytest.mark.parametrize("n", [3, 12, 100])
def test_every_class_occurs_by_quota(population: str, n: int):
    counts = Counter(draw_markers(phantom_settings(n_patients=n, population=population)))
    assert counts.total() == n
    assert set(counts) == set(CLASSES)
    if n == 100 and population == "child":
        assert [counts[name] for name in CLASSES] == [45, 25, 30]


def test_shares_of_what_is_missing_are_exact():
    settings = phantom_settings(
        n_patients=40, missing_masks=0.3, missing_markers=0.55, second_scans=0.25
    )
    _, cases = _plan_cohort(Path("out"), settings)
    assert len(cases) == 50
    assert sum(case.mask is None for case in cases) == 15
    unmarked = {case.patient_id for case in cases if case.marker is None}
    assert len(unmarked) == 22
    assert all(case.marker is None for case in cases if case.patient_id in unmarked)


def test_missing_mask_is_not_on_disk(tmp_path: Path):
    (case,) = make_cohort(
        tmp_path, phantom_settings(n_patients=1, missing_masks=1.0, spacing_mm=4.0)
    )
    assert case.mask is None
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["phantom-001_flair.nii.gz"]


def test_fusion_is_younger_than_v600e_and_sites_do_not_follow_the_marker():
    _, cases = _plan_cohort(Path("out"), phantom_settings(n_patients=1500))
    ages = {
        name: np.mean([case.age_years for case in cases if case.marker == name]) for name in CLASSES
    }
    assert ages["BRAF_fusion"] + 1.5 < ages["BRAF_V600E"]
    north = [
        np.mean([case.site == "north" for case in cases if case.marker == name]) for name in CLASSES
    ]
    assert np.ptp(north) < 0.1


def test_refuses_no_workers_and_a_file_for_a_folder(tmp_path: Path):
    settings = PhantomSettings(n_patients=1)
    with pytest.raises(ConfigError, match="workers is 0"):
        make_cohort(tmp_path, settings, workers=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        make_cohort(tmp_path / "file", settings)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_patients", 0),
        ("link", 1.1),
        ("missing_masks", -0.1),
        ("slice_thickness_mm", 0.2),
        ("spacing_mm", 0.5),
        ("spacing_mm", float("nan")),
        ("spot_width", 9.0),
        ("population", "elderly"),
        ("patients", 12),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(key: str, value: object):
    with pytest.raises(ConfigError, match=key) as caught:
        phantom_settings(**{key: value})
    assert "\n" not in str(caught.value)


def test_slices_thinner_than_the_voxels_are_refused():
    with pytest.raises(ConfigError, match=r"^.*: slice_thickness_mm must be spacing_mm or more"):
        phantom_settings(slice_thickness_mm=2.0, spacing_mm=3.0)
