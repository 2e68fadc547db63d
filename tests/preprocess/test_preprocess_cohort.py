"""A manifest into a store: nothing dropped, nothing done twice, each case on its own."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, write_case, write_nifti
from plgg.config import Config, GridConfig, PreprocessConfig
from plgg.core.errors import OutputError
from plgg.core.lock import LOCK
from plgg.core.output import MARK
from plgg.data.manifest import Case
from plgg.data.quality import Quality
from plgg.data.store import Store
from plgg.preprocess import case as stored
from plgg.preprocess.cohort import preprocess_cohort
from plgg.preprocess.pipeline import RejectedScanError
from plgg.preprocess.registration.start import AtlasPosition

# The images are toys without anatomy, so they are placed by their centres.
CENTRED = PreprocessConfig(registration="centre", stripping="none")
COARSE = Config(grid=GridConfig(spacing_mm=8.0), preprocess=CENTRED)
NAMES = ("P1", "P2", "P3")


@pytest.fixture
def cases(tmp_path):
    grids = ("lps", "sagittal", "oblique")
    markers = ("b", None, "a")
    return [
        Case(name, name, *write_case(tmp_path, name, affine=ODD_AFFINES[grid], seed=seed), marker)
        for seed, (name, grid, marker) in enumerate(zip(NAMES, grids, markers, strict=True))
    ]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def files(folder):
    """Every file below `folder` of a case, with its time and size."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"cohort.json", MARK, LOCK}
    }


def changed(before, after):
    """Names of the cases of which a file is new, gone or other."""
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return {name.split("/")[1].removesuffix(".png") for name in names}


def test_a_cohort_is_stored(cases, folder):
    seen = []
    cohort = preprocess_cohort(cases, folder, COARSE, progress=lambda *counts: seen.append(counts))
    store = Store(folder)
    assert store.cohort == cohort
    assert (cohort.spacing_mm, cohort.classes, cohort.failed) == (8.0, ("a", "b"), ())
    assert list(store.by_id) == list(NAMES)
    assert seen == [(1, 3, 0), (2, 3, 0), (3, 3, 0)]
    for case in cases:
        assert store.image(case.case_id).shape == store.by_id[case.case_id].shape
        assert store.mask(case.case_id).any()
        truth, source = nib.load(store.truth_path(case.case_id)), nib.load(case.mask)
        np.testing.assert_array_equal(np.asarray(truth.dataobj), np.asarray(source.dataobj))
        np.testing.assert_array_equal(truth.affine, source.affine)
        assert (folder / "qc" / f"{case.case_id}.png").read_bytes().startswith(b"\x89PNG")


def test_other_columns_reach_the_store_and_follow_the_manifest(cases, folder):
    first = [replace(case, columns={"grade": str(n)}) for n, case in enumerate(cases)]
    preprocess_cohort(first, folder, COARSE)
    before = files(folder)
    later = [replace(first[0], columns={"grade": "4", "idh": "wild type"}), *first[1:]]
    preprocess_cohort(later, folder, COARSE)
    assert files(folder) == before
    found = [case.columns for case in Store(folder).cohort.cases]
    assert found == [{"grade": "4", "idh": "wild type"}, {"grade": "1"}, {"grade": "2"}]
    assert [case.columns for case in Store(folder).manifest_cases()] == found


def test_doing_it_again_does_nothing(cases, folder):
    first = preprocess_cohort(cases, folder, COARSE)
    before = files(folder)
    assert preprocess_cohort(cases, folder, COARSE) == first
    assert files(folder) == before


def test_labels_follow_the_manifest_without_work(cases, folder):
    preprocess_cohort(cases, folder, COARSE)
    before = files(folder)
    other = replace(cases[1], marker="c", site="Ulm", age_years=3.0, sex="F", patient_id="someone")
    preprocess_cohort([cases[0], other], folder, COARSE)
    store = Store(folder)
    assert files(folder) == before
    assert store.cohort.classes == ("b", "c")
    assert list(store.by_id) == ["P1", "P2"]
    found = store.by_id["P2"]
    assert (found.marker, found.site, found.age_years, found.sex, found.patient_id) == (
        "c",
        "Ulm",
        3.0,
        "F",
        "someone",
    )


def test_a_scan_that_was_moved_is_followed_without_work(cases, folder, tmp_path):
    preprocess_cohort(cases, folder, COARSE)
    before = files(folder)
    moved = tmp_path / "moved.nii.gz"
    cases[0].flair.rename(moved)
    preprocess_cohort([replace(cases[0], flair=moved), *cases[1:]], folder, COARSE)
    assert files(folder) == before
    assert Store(folder).manifest_cases()[0].flair == moved


def test_only_what_changed_is_done_again(cases, folder):
    preprocess_cohort(cases, folder, COARSE)
    before, mask = files(folder), Store(folder).mask("P2")
    image = nib.load(cases[1].mask)
    data = np.asarray(image.dataobj).copy()
    data[: int(np.argwhere(data)[:, 0].mean())] = 0
    write_nifti(cases[1].mask, data, image.affine)
    preprocess_cohort(cases, folder, COARSE)
    assert changed(before, files(folder)) == {"P2"}
    assert 0 < Store(folder).mask("P2").sum() != mask.sum()


def test_a_mask_that_is_blanked_is_forgotten(cases, folder):
    preprocess_cohort(cases, folder, COARSE)
    preprocess_cohort([cases[0], replace(cases[1], mask=None)], folder, COARSE)
    store = Store(folder)
    assert store.mask("P2") is None
    assert store.truth_path("P2") is None
    assert not (folder / "cases" / "P2" / "truth.nii.gz").exists()
    assert store.mask("P1") is not None


def test_a_mask_that_is_named_later_is_taken_up_or_missed(cases, folder, tmp_path):
    preprocess_cohort([replace(cases[0], mask=None)], folder, COARSE)
    missing = replace(cases[0], mask=tmp_path / "none.nii.gz")
    (failed,) = preprocess_cohort([missing], folder, COARSE).failed
    assert "none.nii.gz: no such file" in failed.reason
    preprocess_cohort(cases[:1], folder, COARSE)
    assert Store(folder).mask("P1").any()


def test_another_spacing_is_done_again(cases, folder):
    preprocess_cohort(cases[:1], folder, COARSE)
    before = Store(folder).image("P1").shape
    finer = COARSE.model_copy(update={"grid": GridConfig(spacing_mm=4.0)})
    preprocess_cohort(cases[:1], folder, finer)
    assert Store(folder).image("P1").shape > before


def test_a_case_that_fails_is_named_and_the_others_stored(cases, folder, tmp_path):
    cases[0].flair.write_bytes(cases[0].flair.read_bytes()[:-50])
    empty = write_nifti(tmp_path / "empty.nii.gz", np.zeros((9, 9, 9), np.float32))
    gone = Case("gone", "gone", tmp_path / "gone.nii.gz")
    all_cases = [*cases, Case("empty", "empty", empty), gone]
    cohort = preprocess_cohort(all_cases, folder, COARSE)
    assert [case.case_id for case in cohort.cases] == ["P2", "P3"]
    reasons = {failed.case_id: failed.reason for failed in cohort.failed}
    assert set(reasons) == {"P1", "empty", "gone"}
    assert "is truncated" in reasons["P1"]
    assert "every voxel" in reasons["empty"]
    assert "no such file" in reasons["gone"]
    assert {path.name for path in (folder / "cases").iterdir()} == {"P2", "P3"}
    assert Store(folder).cohort == cohort


def test_a_case_that_was_mended_is_stored(cases, folder):
    good = cases[0].flair.read_bytes()
    cases[0].flair.write_bytes(good[:-50])
    assert preprocess_cohort(cases[:1], folder, COARSE).failed
    cases[0].flair.write_bytes(good)
    cohort = preprocess_cohort(cases[:1], folder, COARSE)
    assert not cohort.failed
    assert list(Store(folder).by_id) == ["P1"]


def test_what_was_interrupted_is_finished(cases, folder):
    preprocess_cohort(cases[:2], folder, COARSE)
    # As a kill leaves it: one case written, the cohort not.
    (folder / "cohort.json").unlink()
    before = files(folder)
    preprocess_cohort(cases, folder, COARSE)
    assert changed(before, files(folder)) == {"P3"}
    assert list(Store(folder).by_id) == list(NAMES)


def test_worker_processes_do_what_this_one_does(cases, folder, tmp_path):
    gone = Case("gone", "gone", tmp_path / "gone.nii.gz")
    here = preprocess_cohort([gone, *cases[:2]], folder, COARSE)
    there = preprocess_cohort([gone, *cases[:2]], tmp_path / "two", COARSE, workers=2)
    assert there == here
    first, second = Store(folder), Store(tmp_path / "two")
    for case in cases[:2]:
        name = case.case_id
        np.testing.assert_array_equal(first.image(name), second.image(name))
        np.testing.assert_array_equal(first.mask(name), second.mask(name))
        assert first.placement(name) == second.placement(name)
        truths = (first.truth_path(name).read_bytes(), second.truth_path(name).read_bytes())
        assert truths[0] == truths[1]


class NoWordsError(Exception):
    """Fails even while it is told."""

    def __str__(self):
        raise RuntimeError


ERRORS = [
    KeyError("units"),
    NoWordsError(),
    MemoryError("Unable to allocate 12.0 TiB"),
    UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
    RecursionError("maximum recursion depth exceeded"),
    OSError(5, "Input/output error"),
]
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def break_first(monkeypatch, name, error):
    """Let a function of `stored` raise the first time that it is called."""
    good, calls = getattr(stored, name), []

    def broken(*args, **named):
        calls.append(name)
        if len(calls) == 1:
            raise error
        return good(*args, **named)

    monkeypatch.setattr(stored, name, broken)
    return calls


def assert_only_the_first_failed(cohort, folder, reason):
    assert [case.case_id for case in cohort.cases] == ["P2", "P3"]
    (failed,) = cohort.failed
    assert failed.case_id == "P1"
    assert failed.reason.startswith(reason)
    assert "\n" not in failed.reason
    assert Store(folder).cohort == cohort


@each_error
def test_whatever_is_raised_costs_one_case(cases, folder, monkeypatch, error):
    assert break_first(monkeypatch, "preprocess_scan", error) == []
    cohort = preprocess_cohort(cases, folder, COARSE)
    short = isinstance(error, MemoryError)
    said = "there is not enough memory" if short else f"unexpected {type(error).__name__}"
    assert_only_the_first_failed(cohort, folder, said)


@pytest.mark.parametrize("name", ["usable_scans", "_draw", "write_case"])
def test_wherever_it_is_raised_it_costs_one_case(cases, folder, monkeypatch, name):
    break_first(monkeypatch, name, KeyError("units"))
    cohort = preprocess_cohort(cases, folder, COARSE)
    assert_only_the_first_failed(cohort, folder, "unexpected KeyError: 'units'")


@pytest.mark.parametrize("error", ERRORS[:2], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", ["draw_failed", "open_scan"])
def test_a_failure_that_cannot_be_drawn_stays_that_failure(cases, folder, monkeypatch, name, error):
    cases[0].flair.write_bytes(cases[0].flair.read_bytes()[:-50])
    calls = break_first(monkeypatch, name, error)
    cohort = preprocess_cohort(cases, folder, COARSE)
    assert calls == [name]
    assert_only_the_first_failed(cohort, folder, f"{cases[0].flair}: is truncated")


@pytest.mark.parametrize("error", ERRORS[:2], ids=lambda error: type(error).__name__)
def test_a_refusal_that_cannot_be_drawn_stays_that_refusal(cases, folder, monkeypatch, error):
    quality = Quality(
        status="failed", verdicts=(), attempts=(), stripping="none", atlas="toy", seconds={}
    )
    placed = AtlasPosition(np.ones((2, 2, 2), dtype=bool), np.eye(4), "none")
    rejected = RejectedScanError("it lies upside down", "Turn it.", quality, placed)
    break_first(monkeypatch, "preprocess_scan", rejected)
    calls = break_first(monkeypatch, "panels_of", error)
    cohort = preprocess_cohort(cases, folder, COARSE)
    assert calls
    assert_only_the_first_failed(cohort, folder, "it lies upside down. Turn it.")
    assert cohort.failed[0].quality == quality


def test_a_place_that_cannot_be_written_to_is_told_before_any_work(cases, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file"):
        preprocess_cohort(cases, tmp_path / "file" / "store", COARSE)


def test_a_mask_in_another_axis_order_is_stored_on_its_flairs_grid(cases, folder):
    first = preprocess_cohort(cases[:1], folder, COARSE)
    before = Store(folder).mask("P1")
    image = nib.load(cases[0].mask)
    truth = np.asarray(image.dataobj)
    nib.save(image.as_reoriented(nib.orientations.axcodes2ornt("PIR")), cases[0].mask)
    again = preprocess_cohort(cases[:1], folder, COARSE)
    assert again.cases == first.cases
    np.testing.assert_array_equal(Store(folder).mask("P1"), before)
    stored = nib.load(Store(folder).truth_path("P1"))
    np.testing.assert_array_equal(np.asarray(stored.dataobj), truth)
    np.testing.assert_array_equal(stored.affine, image.affine)


def test_what_the_check_calls_impossible_is_not_stored(cases, folder):
    image = nib.load(cases[0].mask)
    write_nifti(cases[0].mask, np.ones(image.shape, np.uint8), image.affine)
    few = nib.load(cases[1].flair)
    write_nifti(cases[1].flair, np.asarray(few.dataobj)[..., 14:16], few.affine)
    cohort = preprocess_cohort(cases, folder, COARSE)
    reasons = {failed.case_id: failed.reason for failed in cohort.failed}
    assert "no voxel of the mask is 0" in reasons["P1"]
    assert "in 2 slices, too little of a head" in reasons["P2"]
    assert [case.case_id for case in cohort.cases] == ["P3"]


def test_warnings_of_the_check_are_kept_and_counted(cases, folder):
    assert preprocess_cohort(cases, folder, COARSE).warned() is None
    for case in cases[:2]:
        image = nib.load(case.mask)
        data = np.asarray(image.dataobj)
        data = data * (1 + np.indices(data.shape)[0] % 2).astype(np.uint8)
        write_nifti(case.mask, data, image.affine)
    wide = nib.load(cases[0].flair)
    affine = wide.affine @ np.diag([1.5, 1.5, 1.5, 1])
    for path in (cases[0].flair, cases[0].mask):
        write_nifti(path, np.asarray(nib.load(path).dataobj), affine)
    preprocess_cohort(cases, folder, COARSE)
    cohort = Store(folder).cohort
    assert cohort.warned() == "3 warnings in 2 cases"
    by_id = Store(folder).by_id
    assert "a brain of" in by_id["P1"].flair_warnings[0]
    assert by_id["P1"].mask_warnings == by_id["P2"].mask_warnings
    assert "the labels 1, 2" in by_id["P1"].mask_warnings[0]
    assert preprocess_cohort(cases, folder, COARSE).warned() == cohort.warned()
