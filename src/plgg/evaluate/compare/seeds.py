"""Variance components of seeds, splits and patients, where runs have several seeds."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from plgg.evaluate.compare.experiment_records import Spread
from plgg.evaluate.compare.results import Score

ByPatient = Mapping[str, float]
Run = Mapping[str, Score]
"""A run's scores by case."""


def by_patient(scores: Run) -> dict[str, float]:
    """For each patient the mean over the scans."""
    patients: dict[str, list[float]] = defaultdict(list)
    for score in scores.values():
        if score.value is not None:
            patients[score.patient_id].append(score.value)
    return {name: math.fsum(values) / len(values) for name, values in patients.items()}


def difference(a: ByPatient, b: ByPatient) -> dict[str, float]:
    """B − a of the patients whom both have."""
    return {name: b[name] - a[name] for name in a if name in b}


def spread(name: str, splits: Sequence[Sequence[ByPatient]]) -> Spread:
    """The variance components of a mean over patients, seeds nested in splits.

    Source: S. Searle, G. Casella, C. McCulloch, Variance Components, 1992, chapter 3 (analysis of
    variance of a nested random effect; negative estimates are 0).

    Args:
        name: Of the arm, or of the difference.
        splits: For each split and seed the value of each patient.

    >>> spread("a", [[{"p": 0.5}, {"p": 0.7}], [{"p": 0.8}, {"p": 0.8}]]).seeds
    0.1
    """
    runs = [[patients for patients in seeds if patients] for seeds in splits]
    runs = [seeds for seeds in runs if seeds]
    means = [[statistics.fmean(patients.values()) for patients in seeds] for seeds in runs]
    within = _pooled([np.array(values) for values in means])
    return Spread(
        name=name,
        n_seeds=max((len(seeds) for seeds in runs), default=0),
        seeds=within,
        splits=_between(means, within or 0.0),
        patients=_pooled([_over_seeds(seeds) for seeds in runs]),
    )


def _over_seeds(seeds: Sequence[ByPatient]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The mean of each patient over the seeds that have it."""
    names = dict.fromkeys(name for patients in seeds for name in patients)
    return np.array([statistics.fmean(p[n] for p in seeds if n in p) for n in names])


def _pooled(groups: Sequence[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> float | None:
    """Standard deviation within groups, by their degrees of freedom; None where there are none."""
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return None
    squares = sum(float(np.square(group - group.mean()).sum()) for group in groups)
    return round(math.sqrt(squares / freedom), 12)


def _between(means: Sequence[Sequence[float]], within: float) -> float | None:
    if len(means) < 2:
        return None
    variance = statistics.variance([statistics.fmean(values) for values in means])
    # The mean of a split still contains a part of the variance between seeds.
    share = statistics.fmean(within**2 / len(values) for values in means)
    return math.sqrt(max(0.0, variance - share))
