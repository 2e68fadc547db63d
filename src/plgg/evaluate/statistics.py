"""Statistics of weighted scans, with intervals over resampled patients.

A statistic is called once for all resamples, with a row of weights for each: how often each scan
was drawn. An evaluation has hundreds of intervals, so one resample at a time would take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from plgg.core.estimate import Estimate

Weights = NDArray[np.float64]
# From weights of shape (resamples, scans) to values of shape (resamples,); NaN where undefined.
Statistic = Callable[[Weights], NDArray[np.float64]]
N_RESAMPLES = 2000
# Numbers drawn at a time: all of 250 patients, which is more than most cohorts have.
_BLOCK = 250 * N_RESAMPLES


def interval(
    statistic: Statistic, patients: Sequence[Hashable], rng: np.random.Generator
) -> Estimate:
    """A statistic and its 95 % percentile interval (Efron and Tibshirani 1993) over patients.

    Args:
        statistic: Function of the weights.
        patients: The patient of each scan; scans of one patient are drawn together.
        rng: The generator.

    Returns:
        No value where the statistic is undefined on all scans; no ends where there are fewer than
        two patients, or more than half of the resamples are undefined.
    """
    if not patients:
        return Estimate()
    value = _known(statistic(np.ones((1, len(patients))))[0])
    # Always drawn, so that later random numbers do not depend on whether this is defined.
    blocks = [None if value is None else statistic(drawn) for drawn in _drawn(patients, rng)]
    known = [block for block in blocks if block is not None]
    if not known:
        return Estimate(value)
    found = np.concatenate(known)
    defined = found[np.isfinite(found)]
    n_undefined = len(found) - len(defined)
    if len(defined) < len(found) / 2:
        return Estimate(value, n_undefined=n_undefined)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n_undefined=n_undefined)


def draw(patients: Sequence[Hashable], rng: np.random.Generator) -> Weights | None:
    """How often each scan is in each resample, shape (2000, scans); None for a single patient."""
    blocks = list(_drawn(patients, rng))
    return np.concatenate(blocks) if blocks else None


def _drawn(patients: Sequence[Hashable], rng: np.random.Generator) -> Iterator[Weights]:
    """The resamples, so many at a time that memory does not grow with the scans."""
    number = {patient: index for index, patient in enumerate(dict.fromkeys(patients))}
    n, places = len(number), [number[patient] for patient in patients]
    if n < 2:
        return
    most = max(1, _BLOCK // n)
    for first in range(0, N_RESAMPLES, most):
        rows = min(most, N_RESAMPLES - first)
        drawn = rng.integers(n, size=(rows, n))
        flat = (drawn + n * np.arange(rows)[:, None]).ravel()
        counts = np.bincount(flat, minlength=n * rows).reshape(rows, n)
        yield counts[:, places].astype(np.float64)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


Values = NDArray[np.float64]
Labels = NDArray[np.int64]


def mean(values: Values) -> Statistic:
    """The mean."""
    return ratio(values, np.ones_like(values))


def ratio(top: Values, bottom: Values) -> Statistic:
    """The sum of one over the sum of the other; undefined where the latter is 0."""
    return lambda weights: _divided(weights @ top, weights @ bottom)


def median(values: Values) -> Statistic:
    """The median; of an even number of scans the middle of the two."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]

    def statistic(weights: Weights) -> Values:
        reached = np.cumsum(weights[:, order], axis=1)
        n = reached[:, -1:]
        low = (reached > (n - 1) // 2).argmax(axis=1)
        high = (reached > n // 2).argmax(axis=1)
        return np.asarray((ranked[low] + ranked[high]) / 2)

    return statistic


def class_auc(truth: Labels, scores: Values, label: int) -> Statistic:
    """AUC of one class against the rest; ties count a half (Hanley and McNeil 1982)."""
    inside, outside = np.flatnonzero(truth == label), np.flatnonzero(truth != label)
    above = scores[inside, label][:, None] - scores[outside, label][None, :]
    wins = (np.sign(above) + 1) / 2

    def statistic(weights: Weights) -> Values:
        of, others = weights[:, inside], weights[:, outside]
        won = ((of @ wins) * others).sum(axis=1)
        return _divided(won, of.sum(axis=1) * others.sum(axis=1))

    return statistic


def macro_auc(truth: Labels, scores: Values) -> Statistic:
    """Mean AUC over the classes that have both members and others."""
    each = [class_auc(truth, scores, label) for label in range(scores.shape[1])]
    return lambda weights: _mean_of_known([one(weights) for one in each])


def balanced_accuracy(truth: Labels, named: Labels, n_classes: int) -> Statistic:
    """Mean recall of the classes that occur."""
    each = [
        ratio(_as_numbers((truth == c) & (named == c)), _as_numbers(truth == c))
        for c in range(n_classes)
    ]
    return lambda weights: _mean_of_known([one(weights) for one in each])


def macro_f1(truth: Labels, named: Labels, n_classes: int) -> Statistic:
    """Mean over the classes that occur or are named of 2 TP / (2 TP + FP + FN)."""
    each = [
        ratio(
            2 * _as_numbers((truth == c) & (named == c)),
            _as_numbers(truth == c) + _as_numbers(named == c),
        )
        for c in range(n_classes)
    ]
    return lambda weights: _mean_of_known([one(weights) for one in each])


def calibration_error(confidence: Values, hits: Values, n_bins: int) -> Statistic:
    """Expected calibration error over bins of equal width (Naeini et al. 2015).

    Args:
        confidence: Probability of the named class.
        hits: 1 where it is the true one, else 0.
        n_bins: Bins of [0, 1].
    """
    number = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.stack([(confidence - hits) * (number == b) for b in np.unique(number)], axis=1)

    def statistic(weights: Weights) -> Values:
        return _divided(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))

    return statistic


def difference(one: Statistic, other: Statistic) -> Statistic:
    """One less the other on the same scans, so that their interval is a paired one."""
    return lambda weights: one(weights) - other(weights)


def _divided(top: Values, bottom: Values) -> Values:
    known = bottom > 0
    return np.where(known, top / np.where(known, bottom, 1.0), np.nan)


def _mean_of_known(found: list[Values]) -> Values:
    stacked = np.stack(found)
    known = np.isfinite(stacked)
    return _divided(np.where(known, stacked, 0.0).sum(axis=0), known.sum(axis=0).astype(float))


def _as_numbers(flags: NDArray[np.bool_]) -> Values:
    return np.asarray(flags, dtype=np.float64)
