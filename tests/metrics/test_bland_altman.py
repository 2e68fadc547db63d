"""Bland–Altman agreement: a published example, laws, and what is undefined."""

import numpy as np
import pytest
from scipy import stats

from plgg.metrics.agreement import bland_altman

# Peak flow in l/min of 17 people by two meters: table 1 of Bland and Altman 1986.
LARGE = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_the_example_of_1986():
    found = bland_altman(LARGE, MINI)
    assert found.n == 17
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    # They print -22.0 to 17.8 for the bias; limits by 2 sd there, by 1.96 here and in 1999.
    assert (found.bias.low, found.bias.high) == pytest.approx((-22.0, 17.8), abs=0.2)
    assert found.lower.value == pytest.approx(-2.1 - 1.96 * 38.8, abs=0.1)
    assert found.upper.value == pytest.approx(-2.1 + 1.96 * 38.8, abs=0.1)
    # 1986 gives the limits a standard error of √(3 s² / n) = 16.3, about that of 1999.
    assert (found.lower.high - found.lower.value) / 2.12 == pytest.approx(16.3, abs=0.5)


def test_the_slope_is_that_of_a_regression():
    found = bland_altman(LARGE, MINI)
    a, b = np.array(LARGE), np.array(MINI)
    line = stats.linregress((a + b) / 2, a - b)
    reach = line.stderr * stats.t.ppf(0.975, 15)
    assert found.slope.value == pytest.approx(line.slope)
    assert (found.slope.low, found.slope.high) == pytest.approx(
        (line.slope - reach, line.slope + reach)
    )


def test_exchanging_the_two_turns_all_signs():
    there, back = bland_altman(LARGE, MINI), bland_altman(MINI, LARGE)
    assert back.bias.value == -there.bias.value
    assert (back.lower.value, back.lower.low) == (-there.upper.value, -there.upper.high)
    assert back.slope.value == -there.slope.value


def test_most_intervals_hold_the_truth():
    rng = np.random.default_rng(3)
    truths = {"bias": 2.0, "lower": 2.0 - 1.96 * 3, "upper": 2.0 + 1.96 * 3, "slope": 0.0}
    held = dict.fromkeys(truths, 0)
    for _ in range(400):
        true = rng.uniform(100, 1000, 15)
        found = bland_altman(true + rng.normal(2.0, 3.0, 15), true)
        for name, value in truths.items():
            end = getattr(found, name)
            held[name] += end.low <= value <= end.high
    for name, n in held.items():
        assert 0.9 <= n / 400 <= 0.99, name


def test_further_scans_of_a_patient_narrow_nothing():
    once = bland_altman(LARGE, MINI)
    twice = bland_altman(LARGE * 2, MINI * 2, n_independent=17)
    naive = bland_altman(LARGE * 2, MINI * 2)
    for name in ("bias", "lower", "upper", "slope"):
        a, b, c = (getattr(found, name) for found in (once, twice, naive))
        assert b.value == pytest.approx(a.value, abs=1.3)  # the limits' sd has another n - 1
        assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.04)
        assert c.high - c.low < b.high - b.low


def test_few_pairs_and_equal_sizes():
    assert bland_altman([], []) is None
    assert bland_altman([1.0, 2.0], [1.0, 2.0]) is None
    assert bland_altman([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], n_independent=2) is None
    assert bland_altman([1.0, 2.0, 4.0], [1.0, 2.0, 3.0]).slope is None
    same = bland_altman([5.0] * 6, [5.0] * 6)
    assert (same.bias.value, same.lower.value, same.upper.high, same.slope) == (0, 0, 0, None)
