"""Paired statistics against hand-computed values, scipy, and the laws they obey."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from plgg.evaluate.compare import statistics as ours

PAPER = np.array([0.13, 0.01, 0.02, 0.01, 0.0, 0.0])


def rng():
    return np.random.default_rng(0)


def test_the_papers_differences():
    assert PAPER.mean() == pytest.approx(0.028, abs=5e-4)
    assert ours.paired_t(PAPER).p == pytest.approx(0.23, abs=5e-3)
    assert ours.wilcoxon(PAPER).p == 0.125
    assert ours.corrected_t(PAPER, ours.TEST_TO_TRAIN).p == pytest.approx(0.40, abs=5e-3)


def test_t_by_hand():
    # d = 1, 2, 3: mean 2, variance 1, standard error sqrt(1/3).
    d = np.array([1.0, 2.0, 3.0])
    assert ours.paired_t(d).statistic == pytest.approx(2.0 * math.sqrt(3.0))
    # 1/3 + 2/3 = 1, so the standard error is 1; the t distribution with 2 degrees of freedom
    # has the closed form p = 1 - t / sqrt(2 + t²).
    corrected = ours.corrected_t(d, 2 / 3)
    assert corrected.statistic == pytest.approx(2.0)
    assert corrected.p == pytest.approx(1.0 - 2.0 / math.sqrt(6.0))
    assert ours.effect_size(d) == pytest.approx(2.0)


def test_corrected_interval_by_hand():
    found = ours.corrected_interval(np.array([1.0, 2.0, 3.0]), 2 / 3)
    # The 97.5 % point of t with 2 degrees of freedom is 4.3027.
    assert (found.low, found.high) == pytest.approx((2 - 4.3027, 2 + 4.3027), abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_plain_t_is_scipys(seed):
    a, b = np.random.default_rng(seed).normal(size=(2, 12))
    expected = stats.ttest_rel(b, a)
    found = ours.paired_t(ours.paired_differences(a, b))
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("n", [1, 5, 12, 30])
def test_wilcoxon_without_ties_is_scipys_exact(n):
    d = np.random.default_rng(n).normal(0.3, 1.0, n)
    expected = stats.wilcoxon(d, method="exact")
    found = ours.wilcoxon(d)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)


def test_wilcoxon_with_ties_counts_every_sign():
    d = np.array([1.0, 1.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.0])
    size = stats.rankdata(np.abs(d[d != 0]))

    def smaller(signs):
        return min(size[signs > 0].sum(), size[signs < 0].sum())

    every = [np.array(signs) for signs in itertools.product((-1, 1), repeat=size.size)]
    observed = smaller(np.sign(d[d != 0]))
    share = np.mean([smaller(signs) <= observed for signs in every])
    assert ours.wilcoxon(d).p == pytest.approx(share)


def test_exact_wilcoxon_meets_the_approximation():
    d = np.random.default_rng(3).normal(0.25, 1.0, 51)
    many, fewer = ours.wilcoxon(d), ours.wilcoxon(d[:50])
    assert many.p == pytest.approx(stats.wilcoxon(d).pvalue)
    assert fewer.p == pytest.approx(stats.wilcoxon(d[:50], correction=False).pvalue, rel=0.1)


def test_wilcoxon_tells_what_few_differences_allow():
    assert "0.125" in ours.wilcoxon(PAPER).note
    assert ours.wilcoxon(np.arange(1.0, 7.0)).note is None


@pytest.mark.parametrize("test_to_train", [0.1, 15 / 70, 1.0])
def test_correction_never_lowers_p(test_to_train):
    for seed in range(50):
        d = np.random.default_rng(seed).normal(0.2, 1.0, 6)
        assert ours.corrected_t(d, test_to_train).p >= ours.paired_t(d).p


def test_swapping_sides_flips_signs_only():
    a, b = rng().normal(size=(2, 15))
    d, e = ours.paired_differences(a, b), ours.paired_differences(b, a)
    assert np.array_equal(d, -e)
    for found, swapped in (
        (ours.paired_t(d), ours.paired_t(e)),
        (ours.corrected_t(d, 0.2), ours.corrected_t(e, 0.2)),
    ):
        assert found.statistic == pytest.approx(-swapped.statistic)
        assert found.p == pytest.approx(swapped.p)
    assert ours.wilcoxon(d).p == pytest.approx(ours.wilcoxon(e).p)
    assert ours.effect_size(d) == pytest.approx(-ours.effect_size(e))
    one, other = ours.patient_interval(d, rng()), ours.patient_interval(e, rng())
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_a_shift_of_both_sides_changes_nothing():
    a, b = rng().normal(size=(2, 15))
    assert np.allclose(
        ours.paired_differences(a + 7.0, b + 7.0), ours.paired_differences(a, b), atol=1e-11
    )


def test_rounding_noise_is_a_tie():
    a = np.array([0.78, 0.74, 0.1 + 0.2])
    b = np.array([0.79, 0.75, 0.3])
    first, second, third = ours.paired_differences(a, b)
    assert first == second
    assert third == 0.0


def test_null_differences_give_uniform_p():
    draws = np.random.default_rng(11).normal(size=(400, 12))
    for test in (ours.paired_t, ours.wilcoxon):
        p = [test(ours.paired_differences(np.zeros(12), d)).p for d in draws]
        # The signed-rank test has few values, hence the wide margin.
        assert stats.kstest(p, "uniform").statistic < 0.09


def test_bootstrap_interval_covers_as_often_as_it_says():
    draws = np.random.default_rng(5).normal(0.5, 1.0, size=(150, 40))
    found = [ours.patient_interval(d, np.random.default_rng(n)) for n, d in enumerate(draws)]
    assert np.mean([f.low <= 0.5 <= f.high for f in found]) == pytest.approx(0.94, abs=0.06)


def test_bootstrap_repeats_with_its_seed():
    d = rng().normal(size=20)
    assert ours.patient_interval(d, rng()) == ours.patient_interval(d, rng())
    other = ours.patient_interval(d, np.random.default_rng(1))
    assert other != ours.patient_interval(d, rng())


def test_bootstrap_of_constants_is_the_constant():
    found = ours.patient_interval(np.full(5, 0.25), rng())
    assert (found.low, found.high) == (0.25, 0.25)


def test_hierarchical_bootstrap_sees_the_spread_between_splits():
    steady = [np.array([0.0, 0.1, 0.2])] * 4
    moving = [np.array([0.0, 0.1, 0.2]) + shift for shift in (-0.4, -0.1, 0.1, 0.4)]
    narrow, wide = (ours.hierarchical_interval(groups, rng()) for groups in (steady, moving))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert narrow.low < 0.1 < narrow.high


def test_hierarchical_bootstrap_of_single_patients_by_hand():
    # Two splits of one patient each: the mean is 0, 1/2 or 1 with probabilities 1/4, 1/2, 1/4.
    found = ours.hierarchical_interval([np.array([0.0]), np.array([1.0])], rng())
    assert (found.low, found.high) == (0.0, 1.0)


def test_one_split_resamples_only_patients():
    d = rng().normal(size=9)
    assert ours.hierarchical_interval([d], rng()) == ours.patient_interval(d, rng())


def test_undefined_is_none_with_a_reason():
    for d in (np.array([0.3]), np.array([0.3, 0.3, 0.3]), np.zeros(4)):
        found = ours.paired_t(d)
        assert (found.statistic, found.p) == (None, None)
        assert found.note
        assert ours.effect_size(d) is None
        assert ours.corrected_interval(d, 0.2).note
    assert ours.patient_interval(np.array([0.3]), rng()).note


def test_all_zero_differences_have_wilcoxon_p_one():
    assert ours.wilcoxon(np.zeros(6)).p == 1.0


@pytest.mark.parametrize("ratio", [0.0, 0.2])
def test_an_effects_interval_leaves_out_zero_where_the_test_is_significant(ratio):
    rng = np.random.default_rng(3)
    for _ in range(40):
        d = rng.normal(rng.uniform(-1, 1), 1, rng.integers(3, 20))
        found, p = ours.effect_interval(d, ratio), ours.corrected_t(d, ratio).p
        assert found.low < ours.effect_size(d) < found.high
        assert (p < 0.05) == (found.low > 0 or found.high < 0)


def test_an_effects_interval_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(4)
    found = [ours.effect_interval(rng.normal(0.6, 1, 12)) for _ in range(600)]
    assert np.mean([each.low <= 0.6 <= each.high for each in found]) == pytest.approx(
        0.95, abs=0.03
    )


@pytest.mark.parametrize("n", [2, 3, 6, 80])
@pytest.mark.parametrize("effect", [0.0, 0.3, 2.0, 10.0, 100.0])
def test_an_effects_interval_is_found_or_said_not_to_be(n, effect):
    d = effect + np.resize([-1.0, 1.0, 0.3, -0.4], n)
    found, mirrored = ours.effect_interval(d), ours.effect_interval(-d)
    if found.low is None:
        assert found.note
        return
    assert found.low <= ours.effect_size(d) <= found.high
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), rel=1e-4)


def test_an_effect_that_cannot_be_told_has_no_interval():
    assert ours.effect_interval(np.array([0.1])).note
    assert ours.effect_interval(np.array([0.1, 0.1])).low is None
    huge = ours.effect_interval(np.array([1.0, 1.0 + 1e-9]))
    assert huge.low is None or huge.low > 0
