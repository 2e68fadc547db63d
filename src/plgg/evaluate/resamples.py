"""Intervals of weighted statistics over resampled patients, all resamples at once.

The same numbers as `plgg.metrics.patient_interval` would give, but a statistic is asked once, with
a row of weights for each resample: how often each scan was drawn. An evaluation has hundreds of
intervals, so one at a time would take minutes. Knows nothing of what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from plgg.evaluate.records import Interval

Weights = NDArray[np.float64]
# From weights of shape (resamples, scans) to values of shape (resamples,); NaN where undefined.
Statistic = Callable[[Weights], NDArray[np.float64]]
N_RESAMPLES = 2000


def interval(
    statistic: Statistic, patients: Sequence[Hashable], rng: np.random.Generator
) -> Interval:
    """A statistic and its 95 % percentile interval (Efron and Tibshirani 1993) over patients.

    Args:
        statistic: Of weights.
        patients: The patient of each scan; scans of one patient are drawn together.
        rng: The generator.

    Returns:
        No value where the statistic is undefined on all scans; no ends where there are fewer than
        two patients, or more than half of the resamples are undefined.
    """
    if not patients:
        return Interval()
    value = _known(statistic(np.ones((1, len(patients))))[0])
    weights = draw(patients, rng)
    if value is None or weights is None:
        return Interval(value=value)
    found = statistic(weights)
    defined = found[np.isfinite(found)]
    n_undefined = len(found) - len(defined)
    if len(defined) < len(found) / 2:
        return Interval(value=value, n_undefined=n_undefined)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(value=value, ci_low=float(low), ci_high=float(high), n_undefined=n_undefined)


def draw(patients: Sequence[Hashable], rng: np.random.Generator) -> Weights | None:
    """How often each scan is in each resample, shape (2000, scans); None for a single patient."""
    number = {patient: index for index, patient in enumerate(dict.fromkeys(patients))}
    n = len(number)
    if n < 2:
        return None
    drawn = rng.integers(n, size=(N_RESAMPLES, n))
    flat = (drawn + n * np.arange(N_RESAMPLES)[:, None]).ravel()
    counts = np.bincount(flat, minlength=n * N_RESAMPLES).reshape(N_RESAMPLES, n)
    return counts[:, [number[patient] for patient in patients]].astype(np.float64)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
