"""Splits: by patient, stratified, in the shares 70/15/15, the same for everyone who asks."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plgg.core.errors import ConfigError
from plgg.data.split import (
    MIN_PATIENTS,
    SHARES,
    Split,
    _drawn,
    _strata,
    make_split,
    splits_with_equal_tests,
)
from tiny import stored_case

PARTS = ("train", "validation", "test")


def cohort(markers, *, scans=()):
    """One patient for each marker; `scans[i]` is how many scans patient i has."""
    cases = []
    for index, marker in enumerate(markers):
        n = scans[index] if index < len(scans) else 1
        cases += [
            stored_case(f"P{index:03d}_{scan}", patient_id=f"P{index:03d}", marker=marker)
            for scan in range(n)
        ]
    return cases


def patients_of(cases, split, part):
    owner = {case.case_id: case.patient_id for case in cases}
    return {owner[case_id] for case_id in split.part(part)}


MARKERS = st.sampled_from(["V600E", "fusion", "other", None])
COHORTS = st.builds(
    lambda markers, scans: cohort(markers, scans=scans),
    st.lists(MARKERS, min_size=MIN_PATIENTS, max_size=120),
    st.lists(st.integers(1, 3), max_size=120),
)


@settings(max_examples=60, deadline=None)
@given(COHORTS, st.integers(0, 5), st.integers(0, 3))
def test_laws_of_any_cohort(cases, k, seed):
    split = make_split(cases, k=k, seed=seed)
    # Everything once.
    listed = [case_id for part in PARTS for case_id in split.part(part)]
    assert sorted(listed) == sorted(case.case_id for case in cases)
    # No patient in two parts, and none of the parts empty.
    by_part = [patients_of(cases, split, part) for part in PARTS]
    n = len({case.patient_id for case in cases})
    assert sum(len(part) for part in by_part) == n == len(set().union(*by_part))
    assert all(by_part)
    # 70/15/15 to within one patient in the held parts, which are equally large.
    _, validation, test = (len(part) for part in by_part)
    assert validation == test
    assert abs(test - 0.15 * n) < 1
    # The same again, whatever the order of the rows.
    assert make_split(list(reversed(cases)), k=k, seed=seed) == split


@settings(max_examples=60, deadline=None)
@given(st.lists(MARKERS, min_size=MIN_PATIENTS, max_size=120), st.integers(0, 3))
def test_each_class_is_near_its_share(markers, k):
    cases = cohort(markers)
    split = make_split(cases, k=k, seed=0)
    marker = {case.case_id: case.marker for case in cases}
    totals = Counter(markers)
    n = len(markers)
    for part in PARTS:
        # Shares of this very cohort: five patients cannot be 70/15/15.
        share = len(split.part(part)) / n
        counts = Counter(marker[case_id] for case_id in split.part(part))
        for name, total in totals.items():
            # Nearly always within 1; up to 1.3 has been seen.
            assert abs(counts[name] - share * total) < 1.5, (part, name)


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(5, (3, 1, 1)), (6, (4, 1, 1)), (20, (14, 3, 3)), (86, (60, 13, 13)), (110, (78, 16, 16))],
)
def test_sizes(n, sizes):
    split = make_split(cohort(["a", "b"] * n)[:n], k=0, seed=0)
    assert tuple(len(split.part(part)) for part in PARTS) == sizes
    assert sum(SHARES) == pytest.approx(1.0)


def test_number_and_seed_give_other_splits():
    cases = cohort(["a", "b", "c"] * 20)
    tests = [make_split(cases, k=k, seed=s).test for k in range(6) for s in range(3)]
    assert len(set(tests)) == len(tests)


def test_over_many_splits_every_patient_is_tested():
    cases = cohort(["a", "b", "c", None] * 10)
    counts = Counter(case for k in range(60) for case in make_split(cases, k=k, seed=0).test)
    # Each is expected 9 times; chance alone spreads that by 2.7.
    assert len(counts) == 40
    assert max(counts.values()) <= 22


def test_a_patient_counts_once_however_many_scans():
    # P000 has 30 scans; it may sway the number of cases, not that of patients.
    cases = cohort(["a", "b"] * 10, scans=[30])
    split = make_split(cases, k=1, seed=0)
    assert [len(patients_of(cases, split, part)) for part in PARTS] == [14, 3, 3]


def test_a_patient_with_one_named_scan_belongs_to_that_class():
    cases = cohort(["a"] * 10 + ["b"] * 10)
    twin = stored_case("P000_late", patient_id="P000", marker=None)
    before, after = make_split(cases, k=0, seed=0), make_split([twin, *cases], k=0, seed=0)
    part = next(part for part in PARTS if "P000_0" in before.part(part))
    assert "P000_late" in after.part(part)
    assert before.test == tuple(c for c in after.test if c != "P000_late")


def test_a_new_label_on_a_mask_does_not_move_anyone():
    cases = cohort(["a", "b"] * 10)
    blank = [case.model_copy(update={"has_mask": False, "site": "x"}) for case in cases]
    assert make_split(cases, k=2, seed=1) == make_split(blank, k=2, seed=1)


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_patients_are_refused(n):
    cases = cohort(["a"] * n, scans=[3] * n)
    with pytest.raises(ConfigError, match=f"{n} patients cannot.*At least 5"):
        make_split(cases, k=0, seed=0)


@pytest.mark.parametrize("k", [-1, 1000, 10**12])
def test_a_split_that_is_not_drawn_is_refused_at_once(k):
    with pytest.raises(ConfigError, match=rf"no split {k}\. Splits count from 0 to 999"):
        make_split(cohort(["a"] * 5), k=k, seed=0)


def test_an_unknown_part_is_refused():
    with pytest.raises(ConfigError, match=r"'tset'.*train, validation, test"):
        make_split(cohort(["a"] * 5), k=0, seed=0).part("tset")


def test_json_round_trip():
    split = make_split(cohort(["a", "b"] * 5), k=3, seed=4)
    assert Split.model_validate_json(split.model_dump_json()) == split


@pytest.mark.parametrize("n", [5, 6, 8, 13])
@pytest.mark.parametrize("seed", range(4))
def test_splits_of_a_small_cohort_test_other_patients_each(n, seed):
    cases = cohort(["a", "b"] * (n // 2) + ["a"] * (n % 2), scans=[1, 2])
    splits = [make_split(cases, k=k, seed=seed) for k in range(4)]
    assert splits_with_equal_tests(splits, cases) == []


def test_where_all_patients_were_tested_splits_are_named():
    cases = cohort(["a"] * 5)
    splits = [make_split(cases, k=k, seed=0) for k in range(7)]
    groups = splits_with_equal_tests(splits, cases)
    assert splits_with_equal_tests(splits[:5], cases) == []
    assert {k for group in groups for k in group} >= {5, 6}
    for group in groups:
        assert len({frozenset(patients_of(cases, splits[k], "test")) for k in group}) == 1


def test_splits_that_differ_are_as_they_were_first_drawn():
    cases = cohort(["V600E", "fusion", None] * 20)
    strata = _strata({case.patient_id: case.marker or "" for case in cases})
    for k in range(10):
        part_of = _drawn(strata, 60, (k,), 0)
        split = make_split(cases, k=k, seed=0)
        assert patients_of(cases, split, "test") == {p for p, part in part_of.items() if part == 2}
