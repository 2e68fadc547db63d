"""Adjusted p values and power: known answers, and probabilities that simulation gives as well."""

import numpy as np
import pytest
from scipy import stats

from plgg.evaluate.compare.multiple_comparisons import holm
from plgg.evaluate.compare.power import PowerTarget, power_of_t_test, smallest_n
from plgg.evaluate.compare.statistics import corrected_t, paired_t
from plgg.evaluate.compare.table import compare_table


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.2]) == [0.2]
    assert holm([None, 0.02, 0.9]) == [None, pytest.approx(0.04), pytest.approx(0.9)]
    assert holm([]) == []


def test_holm_is_the_textbooks_to_the_last_digits():
    rng = np.random.default_rng(5)
    for _ in range(100):
        p = rng.uniform(0, 0.6, rng.integers(1, 9))
        highest, expected = 0.0, np.empty(p.size)
        for rank, index in enumerate(np.argsort(p)):
            highest = max(highest, min(1.0, (p.size - rank) * p[index]))
            expected[index] = highest
        assert holm(list(p)) == pytest.approx(expected.tolist(), abs=1e-9)


def test_power_is_that_of_the_noncentral_t_to_the_last_digits():
    rng = np.random.default_rng(6)
    for _ in range(100):
        n, effect, ratio = int(rng.integers(2, 60)), rng.uniform(0, 2), rng.choice([0.0, 0.2])
        critical, centre = stats.t.ppf(0.975, n - 1), effect / np.sqrt(1 / n + ratio)
        expected = stats.nct.sf(critical, n - 1, centre) + stats.nct.cdf(-critical, n - 1, centre)
        found = power_of_t_test(n, effect, test_to_train=ratio)
        assert found == pytest.approx(1.0 if np.isnan(expected) else expected, abs=1e-9)


def test_holm_never_orders_otherwise_nor_lowers():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(0, 0.5, 5)
        adjusted = np.array(holm(list(p)))
        assert (adjusted >= p).all()
        assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
        # No adjustment is harsher than Bonferroni's.
        assert (adjusted <= np.minimum(1, 5 * p) + 1e-12).all()


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_patients_for_cohens_small_medium_and_large_effects(effect, n):
    """The textbook's numbers of pairs for 80 % power at the 5 % level, two-sided."""
    assert smallest_n(lambda k: power_of_t_test(k, effect), 0.8, 10**6) == n


def test_power_is_what_simulation_finds():
    rng = np.random.default_rng(1)
    draws = rng.normal(0.6, 1.0, (2000, 15))
    found = np.mean([paired_t(d).p < 0.05 for d in draws])
    assert power_of_t_test(15, 0.6) == pytest.approx(found, abs=0.04)


def test_power_of_the_corrected_test_is_what_simulation_finds():
    """Splits whose differences share what their patients share, as the correction supposes."""
    rng = np.random.default_rng(2)
    ratio, k, effect = 0.25, 6, 1.0
    # Correlation ρ = ratio / (1 + ratio) makes the correction exact (Nadeau and Bengio, 2003).
    rho = ratio / (1 + ratio)
    shared = rng.normal(0, np.sqrt(rho), (3000, 1))
    draws = shared + rng.normal(0, np.sqrt(1 - rho), (3000, k))
    spread = np.sqrt(1 - rho)
    draws += effect * spread
    found = np.mean([corrected_t(d, ratio).p < 0.05 for d in draws])
    assert power_of_t_test(k, effect, test_to_train=ratio) == pytest.approx(found, abs=0.04)


def test_splits_of_one_cohort_can_buy_only_so_much():
    assert smallest_n(lambda k: power_of_t_test(k, 0.5, test_to_train=0.2), 0.8, 1000) is None
    assert smallest_n(lambda k: power_of_t_test(k, 2.0, test_to_train=0.2), 0.8, 1000) is not None


def test_a_table_tells_what_it_would_take(tmp_path):
    path = tmp_path / "table1.csv"
    path.write_text("split,a,b\n1,0.5,0.6\n2,0.5,0.52\n3,0.5,0.51\n4,0.5,0.5\n", encoding="utf-8")
    (one,) = compare_table(path).contrasts
    assert one.power.gain == 0.03
    assert one.power.n_splits is None
    assert one.power.n_patients is None
    assert "no number of splits" in one.power.sentence
    assert one.adjusted_p == one.splits.corrected_t.p
    (other,) = compare_table(path, aim=PowerTarget(0.2, 0.8)).contrasts
    n, spread = other.power.n_splits, other.splits.sd
    chance = [
        power_of_t_test(k, 0.2 / spread, test_to_train=other.test_to_train) for k in (n - 1, n)
    ]
    assert chance[0] < 0.8 <= chance[1]
