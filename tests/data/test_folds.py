"""Folds: by patient, of one size, alike in marker and volume, each patient held once."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plgg.core.errors import ConfigError
from plgg.data.folds import MIN_FOLDS, _volumes, assign_folds, fold_splits, make_fold_split
from plgg.data.split import patient_markers
from tiny import SMALL_SHAPE, SPACING_MM, stored_case, tiny_store


def cohort(markers, *, scans=(), no_mask=()):
    """One patient for each marker; `scans[i]` is how many scans patient i has."""
    cases = []
    for index, marker in enumerate(markers):
        patient, n = f"P{index:03d}", scans[index] if index < len(scans) else 1
        cases += [
            stored_case(
                f"{patient}_{scan}",
                patient_id=patient,
                marker=marker,
                has_mask=patient not in no_mask,
            )
            for scan in range(n)
        ]
    return cases


def volumes_of(cases):
    """A volume for each case with a mask, by chance."""
    rng = np.random.default_rng(0)
    drawn = {case.case_id: float(rng.lognormal(2.0, 1.0)) for case in cases}
    return {case.case_id: drawn[case.case_id] for case in cases if case.has_mask}


MARKERS = st.sampled_from(["V600E", "fusion", "other", None])
COHORTS = st.builds(
    lambda markers, scans: cohort(markers, scans=scans, no_mask=("P001", "P004")),
    st.lists(MARKERS, min_size=3, max_size=60),
    st.lists(st.integers(1, 3), max_size=60),
)


def folds_of(cases, n_folds, seed=0):
    return assign_folds(cases, n_folds, seed=seed, volumes=volumes_of(cases))


@settings(max_examples=60)
@given(COHORTS, st.integers(2, 6), st.integers(0, 3))
def test_laws_of_any_cohort(cases, n_folds, seed):
    patients = patient_markers(cases)
    n_folds = min(n_folds, len(patients))
    folds = folds_of(cases, n_folds, seed)
    # Every patient in exactly one fold.
    assert set(folds) == set(patients)
    assert set(folds.values()) == set(range(n_folds))
    sizes = Counter(folds.values())
    assert max(sizes.values()) - min(sizes.values()) <= 1
    # A marker's patients are a run of the order, and each stretch of it is dealt out over all
    # folds: at most the two stretches at its ends are uneven.
    for name in set(patients.values()):
        counts = [
            sum(folds[p] == fold and marker == name for p, marker in patients.items())
            for fold in range(n_folds)
        ]
        assert max(counts) - min(counts) <= 2
    # The same again, whatever the order of the rows.
    assert folds_of(cases, n_folds, seed) == folds
    backwards = assign_folds(cases[::-1], n_folds, seed=seed, volumes=volumes_of(cases))
    assert backwards == folds


@settings(max_examples=40)
@given(COHORTS, st.integers(3, 6), st.integers(0, 3))
def test_cross_validation_tests_every_patient_once(cases, n_folds, seed):
    n_folds = min(n_folds, len(patient_markers(cases)))
    folds = folds_of(cases, n_folds, seed)
    splits = [make_fold_split(cases, folds, k=k, seed=seed, test=True) for k in range(n_folds)]
    names = sorted(case.case_id for case in cases)
    for part in ("test", "validation"):
        assert sorted(name for split in splits for name in split.part(part)) == names
    owner = {case.case_id: case.patient_id for case in cases}
    for k, split in enumerate(splits):
        parts = [{owner[n] for n in split.part(p)} for p in ("train", "validation", "test")]
        assert all(parts)
        # Nobody is in two parts, whichever of his scans.
        assert sum(map(len, parts)) == len(set().union(*parts)) == len(folds)
        assert sorted((*split.train, *split.validation, *split.test)) == names
        assert parts[2] == {patient for patient, fold in folds.items() if fold == k}
        assert (split.k, split.seed) == (k, seed)


@settings(max_examples=40)
@given(COHORTS, st.integers(2, 6))
def test_an_ensemble_validates_every_patient_once_and_trains_on_all_others(cases, n_folds):
    n_folds = min(n_folds, len(patient_markers(cases)))
    folds = folds_of(cases, n_folds)
    splits = [make_fold_split(cases, folds, k=k, seed=0, test=False) for k in range(n_folds)]
    names = sorted(case.case_id for case in cases)
    assert sorted(name for split in splits for name in split.validation) == names
    for split in splits:
        assert split.test == ()
        assert split.train
        assert sorted((*split.train, *split.validation)) == names


def test_volumes_are_alike_in_all_folds():
    """Of each `n` patients of neighbouring volume, every fold has one."""
    cases, n_folds = cohort(["a"] * 60), 5
    volumes = {case.case_id: float(rank) for rank, case in enumerate(reversed(cases))}
    for seed in range(5):
        folds = assign_folds(cases, n_folds, seed=seed, volumes=volumes)
        ranked = sorted(cases, key=lambda case: volumes[case.case_id])
        for first in range(0, 60, n_folds):
            stretch = [folds[case.patient_id] for case in ranked[first : first + n_folds]]
            assert sorted(stretch) == list(range(n_folds))


def test_a_patient_counts_with_the_largest_of_his_volumes():
    """Whichever scan it is of, and a scan without a mask takes nothing away."""
    cases = cohort(["a"] * 12, scans=[3] * 12)
    single = {f"P{index:03d}_0": float(index) for index in range(12)}
    smaller = {f"P{index:03d}_1": index - 0.5 for index in range(12)}
    found = assign_folds(cases, 3, seed=0, volumes=single)
    assert assign_folds(cases, 3, seed=0, volumes=smaller | single) == found
    assert assign_folds(cases[::-1], 3, seed=0, volumes=single) == found


def test_masks_are_spread_over_the_folds():
    names = [f"P{index:03d}" for index in range(30)]
    cases = cohort(["a"] * 30, no_mask=names[::2])
    folds = folds_of(cases, 5)
    with_mask = Counter(folds[case.patient_id] for case in cases if case.has_mask)
    assert [with_mask[fold] for fold in range(5)] == [3] * 5


def test_seed_and_number_give_other_folds():
    cases = cohort(["a", "b", "c"] * 10)
    drawn = [folds_of(cases, 5, seed) for seed in range(6)]
    assert len({tuple(sorted(folds.items())) for folds in drawn}) == 6


@pytest.mark.parametrize(("n", "n_folds"), [(0, 2), (1, 2), (4, 5), (9, 1), (9, 0), (9, -1)])
def test_folds_that_cannot_be_are_refused_in_one_line(n, n_folds):
    with pytest.raises(ConfigError) as caught:
        folds_of(cohort(["a"] * n, scans=[3] * n), n_folds)
    assert "\n" not in str(caught.value)
    assert f"{n} patients cannot be split into {n_folds} folds" in str(caught.value)
    assert f"Choose between {MIN_FOLDS}" in str(caught.value)


def test_cross_validation_with_two_folds_has_none_to_train_on():
    cases = cohort(["a", "b"] * 4)
    folds = folds_of(cases, 2)
    with pytest.raises(ConfigError, match="Choose at least 3 folds") as caught:
        make_fold_split(cases, folds, k=0, seed=0, test=True)
    assert "\n" not in str(caught.value)
    assert make_fold_split(cases, folds, k=0, seed=0, test=False).train


def test_as_many_folds_as_patients_leave_one_out():
    cases = cohort(["a", None, "b", "b"], scans=[2, 1, 3])
    splits = [make_fold_split(cases, folds_of(cases, 4), k=k, seed=0, test=True) for k in range(4)]
    owner = {case.case_id: case.patient_id for case in cases}
    assert {len({owner[name] for name in split.test}) for split in splits} == {1}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return tiny_store(folder, n=9, shape=SMALL_SHAPE, no_mask=("P01",), no_marker=("P04",))


@pytest.mark.parametrize("test", [False, True])
def test_folds_of_a_store_are_those_of_its_cases_and_volumes(store, test):
    cases = store.cohort.cases
    volumes = {
        case.case_id: store.mask(case.case_id).sum() * SPACING_MM**3 / 1000.0
        for case in cases
        if case.has_mask
    }
    assert _volumes(store) == pytest.approx(volumes)
    folds = assign_folds(cases, 3, seed=2, volumes=volumes)
    expected = [make_fold_split(cases, folds, k=k, seed=2, test=test) for k in range(3)]
    assert fold_splits(store, 3, seed=2, test=test) == expected


def test_a_store_with_too_few_patients_is_refused(store):
    with pytest.raises(ConfigError, match="9 patients cannot be split into 10 folds"):
        fold_splits(store, 10, seed=0, test=False)
