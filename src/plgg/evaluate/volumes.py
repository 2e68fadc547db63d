"""How well volumes were measured: Bland–Altman agreement, and whether their intervals hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plgg.evaluate.records import Interval, Limits, Volumes
from plgg.evaluate.resamples import interval
from plgg.evaluate.row import CaseScores
from plgg.evaluate.statistics import mean
from plgg.metrics.bland_altman import Bounded, bland_altman


def summarise_volumes(rows: Sequence[CaseScores], rng: np.random.Generator) -> Volumes | None:
    """Agreement of predicted and true volumes; None where no true one is known."""
    known = [row for row in rows if row.volume_error_ml is not None]
    if not known:
        return None
    positive = [row for row in known if row.volume_ml and row.predicted_volume_ml]
    with_interval = [row for row in known if row.volume_low_ml is not None]
    levels = {row.volume_interval_level for row in with_interval}
    return Volumes(
        difference_ml=_limits(known, *_volumes(known)),
        log_ratio=_limits(positive, *(np.log(v) for v in _volumes(positive))),
        n_without_ratio=len(known) - len(positive),
        coverage=_coverage(with_interval, rng),
        coverage_level=levels.pop() if len(levels) == 1 else None,
        n_with_interval=len(with_interval),
    )


def _volumes(rows: Sequence[CaseScores]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predicted and true, in mL."""
    pairs = np.array([(row.predicted_volume_ml, row.volume_ml) for row in rows], dtype=np.float64)
    predicted, true = pairs.reshape(-1, 2).T
    return predicted, true


def _limits(
    rows: Sequence[CaseScores], predicted: NDArray[np.float64], true: NDArray[np.float64]
) -> Limits | None:
    patients = {row.patient_id for row in rows}
    found = bland_altman(predicted, true, n_independent=len(patients))
    if found is None:
        return None
    return Limits(
        n=found.n,
        bias=_interval(found.bias),
        sd=found.sd,
        lower=_interval(found.lower),
        upper=_interval(found.upper),
        slope=_interval(found.slope) if found.slope else None,
    )


def _interval(found: Bounded) -> Interval:
    return Interval(value=found.value, ci_low=found.ci_low, ci_high=found.ci_high)


def _coverage(rows: Sequence[CaseScores], rng: np.random.Generator) -> Interval | None:
    if not rows:
        return None
    inside = np.array([_holds(row) for row in rows], dtype=np.float64)
    return interval(mean(inside), [row.patient_id for row in rows], rng)


def _holds(row: CaseScores) -> bool:
    low, high, true = row.volume_low_ml, row.volume_high_ml, row.volume_ml
    return low is not None and high is not None and true is not None and low <= true <= high
