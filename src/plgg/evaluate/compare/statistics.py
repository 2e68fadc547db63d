"""Statistics of paired differences: tests, intervals, effect sizes.

Each takes the differences d = b − a, one for each patient or split.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from plgg.core.estimate import Estimate
from plgg.evaluate.compare.records import Significance

Array = NDArray[np.float64]

N_RESAMPLES = 10_000
LEVEL = 0.95
TEST_TO_TRAIN = 15 / 70
_DECIMALS = 12
_EXACT_UP_TO = 50
_CHUNK = 2_000_000
# Largest distance of a non-centrality from t; beyond it the distribution cannot be computed.
_FURTHEST = 1e4


def paired_differences(a: ArrayLike, b: ArrayLike) -> Array:
    """B − a, without rounding noise.

    Floating point makes 0.79 − 0.78 and 0.75 − 0.74 differ in the 17th digit; ranks must see a tie.
    """
    difference = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    # Adding 0 turns -0 into 0.
    return np.round(difference, _DECIMALS) + 0.0


def paired_t(d: Array) -> Significance:
    """Student's paired t test: t = mean(d) / sqrt(var(d) / k), k − 1 degrees of freedom."""
    return corrected_t(d, 0.0)


def corrected_t(d: Array, test_to_train: float) -> Significance:
    """The corrected resampled t test over k splits that share patients.

    t = mean(d) / sqrt((1/k + n_test/n_train) · var(d)), k − 1 degrees of freedom. The second term
    makes up for the correlation of splits whose training sets overlap.

    Source: C. Nadeau and Y. Bengio, Inference for the generalization error, Machine Learning 52,
    2003.

    Args:
        d: Differences of shape (k,).
        test_to_train: n_test / n_train; 0 gives the plain paired t test.
    """
    reason = _undefined(d)
    if reason:
        return Significance(None, None, reason)
    t = float(d.mean()) / _standard_error(d, test_to_train)
    return Significance(t, float(2.0 * stats.t.sf(abs(t), d.size - 1)))


def corrected_interval(d: Array, test_to_train: float) -> Estimate:
    """The 95 % interval that belongs to `corrected_t`."""
    method, mean = "corrected resampled t over splits", float(d.mean())
    reason = _undefined(d)
    if reason:
        return Estimate(mean, note=reason, method=method)
    half = float(stats.t.ppf((1 + LEVEL) / 2, d.size - 1)) * _standard_error(d, test_to_train)
    return Estimate(mean, mean - half, mean + half, method=method)


def _standard_error(d: Array, test_to_train: float) -> float:
    return math.sqrt((1.0 / d.size + test_to_train) * float(d.var(ddof=1)))


def _undefined(d: Array) -> str | None:
    if d.size < 2:
        return "needs two differences or more"
    return "the differences do not vary" if np.ptp(d) == 0 else None


def wilcoxon(d: Array) -> Significance:
    """Wilcoxon's signed-rank test; zeros are dropped, ties share their mean rank.

    Exact (also with ties) up to 50 non-zero differences, beyond that scipy's normal approximation.
    Source: F. Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1, 1945.
    """
    nonzero = d[d != 0]
    if nonzero.size == 0:
        return Significance(0.0, 1.0, "all differences are zero")
    if nonzero.size > _EXACT_UP_TO:
        found = stats.wilcoxon(nonzero)
        return Significance(float(found.statistic), float(found.pvalue))
    # Mean ranks are multiples of one half, so twice the ranks are whole numbers.
    doubled = np.round(2.0 * stats.rankdata(np.abs(nonzero))).astype(np.int64)
    positive = int(doubled[nonzero > 0].sum())
    smaller = min(positive, int(doubled.sum()) - positive)
    p = min(1.0, 2.0 * float(_rank_sum_probabilities(doubled)[: smaller + 1].sum()))
    return Significance(smaller / 2.0, p, _floor(nonzero.size))


def _rank_sum_probabilities(doubled: NDArray[np.int64]) -> Array:
    """Probability of each sum of positive ranks if every sign is a fair coin, ties included."""
    found = np.zeros(int(doubled.sum()) + 1)
    found[0] = 1.0
    for rank in doubled:
        found = 0.5 * (found + np.concatenate([np.zeros(rank), found[:-rank]]))
    return found


def _floor(n: int) -> str | None:
    least = 2.0 * 0.5**n
    if least <= 1.0 - LEVEL:
        return None
    return f"with {n} differences other than zero p cannot be below {least:.3g}"


def effect_size(d: Array) -> float | None:
    """Cohen's d_z = mean(d) / sd(d) (J. Cohen, Statistical Power Analysis, 1988, section 2.3.5)."""
    return None if _undefined(d) else float(d.mean() / d.std(ddof=1))


def effect_interval(d: Array, test_to_train: float = 0.0) -> Estimate:
    """The 95 % interval of Cohen's d_z, by inversion of the non-central t distribution.

    With an effect δ, t follows that distribution with non-centrality δ / sqrt(1/n +
    n_test/n_train).

    Source: G. Cumming and S. Finch, A primer on confidence intervals based on noncentral
    distributions, Educational and Psychological Measurement 61, 2001.

    Args:
        d: Differences, shape (n,).
        test_to_train: n_test / n_train for splits that share patients; 0 for patients.
    """
    found = Estimate(effect_size(d), method="non-central t")
    t, reason = corrected_t(d, test_to_train).statistic, _undefined(d)
    if t is None or reason:
        return replace(found, note=reason)
    scale = math.sqrt(1.0 / d.size + test_to_train)
    tail = (1 - LEVEL) / 2
    with warnings.catch_warnings():
        # scipy warns of series that do not converge; no centre is found then.
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = (_centre(abs(t), d.size - 1, share) for share in (1 - tail, tail))
    if low is None or high is None:
        return replace(found, note="the effect is too large for the distribution")
    low, high = (low, high) if t >= 0 else (-high, -low)
    return replace(found, low=low * scale, high=high * scale)


def _centre(t: float, freedom: int, share: float) -> float | None:
    """The non-centrality under which `share` of the distribution lies below t.

    Own search: `scipy.special.nctdtrinc` is exact to 1e-6 only.
    """

    def excess(centre: float) -> float:
        # scipy is accurate for positive centres; the other half is its mirror image.
        if centre >= 0:
            return float(stats.nct.cdf(t, freedom, centre)) - share
        return float(stats.nct.sf(-t, freedom, -centre)) - share

    reach = 1.0
    while reach < _FURTHEST:
        if excess(t - reach) > 0 > excess(t + reach):
            try:
                return float(optimize.brentq(excess, t - reach, t + reach))
            except ValueError:
                return None
        reach *= 2
    return None


def patient_interval(d: Array, rng: np.random.Generator) -> Estimate:
    """Percentile bootstrap of the mean: patients are drawn with replacement, 10,000 times.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    found = Estimate(float(d.mean()), method="bootstrap over patients")
    if d.size < 2:
        return replace(found, note="needs two patients or more")
    return _with_percentiles(found, _resampled_means(d, N_RESAMPLES, rng))


def hierarchical_interval(groups: Sequence[Array], rng: np.random.Generator) -> Estimate:
    """Percentile bootstrap of the mean over splits of the mean over patients.

    Splits are drawn with replacement, then patients within every split drawn: the interval covers
    the chance in training as well as in who was tested. A patient who is tested in several splits
    counts as several, so it is somewhat too narrow. Of a single split only patients are drawn.

    Source: A. Davison and D. Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.

    Args:
        groups: Differences by patient, one array for each split; none of them empty.
        rng: The random generator.
    """
    if len(groups) == 1:
        return patient_interval(groups[0], rng)
    drawn = rng.integers(len(groups), size=(N_RESAMPLES, len(groups)))
    means = np.empty(drawn.shape)
    for index, group in enumerate(groups):
        here = drawn == index
        means[here] = _resampled_means(group, int(here.sum()), rng)
    mean = float(np.mean([group.mean() for group in groups]))
    found = Estimate(mean, method="bootstrap over splits, then patients")
    return _with_percentiles(found, means.mean(axis=1))


def _resampled_means(d: Array, times: int, rng: np.random.Generator) -> Array:
    step = max(1, _CHUNK // d.size)
    chunks = [
        d[rng.integers(d.size, size=(min(step, times - start), d.size))].mean(axis=1)
        for start in range(0, times, step)
    ]
    return np.concatenate(chunks) if chunks else np.empty(0)


def _with_percentiles(found: Estimate, means: NDArray[Any]) -> Estimate:
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return replace(found, low=float(low), high=float(high))
