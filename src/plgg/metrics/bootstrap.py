"""Intervals by resampling patients: scans of one patient stay together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Statistic = Callable[[NDArray[np.int64]], float | None]
N_RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95 % percentile interval (Efron and Tibshirani 1993).

    Attributes:
        value: On all cases; None where undefined.
        ci_low: Lower end; None where fewer than half of the resamples are defined.
        ci_high: Upper end.
        n: Cases it is made from.
        n_undefined: Resamples on which the statistic was undefined and which were left out.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_undefined: int = 0


def patient_interval(
    statistic: Statistic,
    patients: Sequence[Hashable],
    rng: np.random.Generator,
    *,
    n_resamples: int = N_RESAMPLES,
) -> Estimate:
    """A statistic and its interval over resampled patients.

    Args:
        statistic: Of an array of case indices, with repeats; None where undefined.
        patients: The patient of each case.
        rng: The generator.
        n_resamples: How often to resample.
    """
    n = len(patients)
    value = statistic(np.arange(n)) if n else None
    groups: dict[Hashable, list[int]] = {}
    for index, patient in enumerate(patients):
        groups.setdefault(patient, []).append(index)
    members = [np.array(group) for group in groups.values()]
    if value is None or len(members) < 2:
        return Estimate(value, None, None, n)
    drawn = []
    for _ in range(n_resamples):
        chosen = rng.integers(len(members), size=len(members))
        drawn.append(statistic(np.concatenate([members[i] for i in chosen])))
    known = [found for found in drawn if found is not None]
    if len(known) < n_resamples / 2:
        return Estimate(value, None, None, n, n_resamples - len(known))
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n, n_resamples - len(known))
