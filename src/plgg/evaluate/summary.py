"""From rows to a summary: everything with its interval by patient. Knows nothing of files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plgg.evaluate import statistics
from plgg.evaluate.groups import TRAITS, grouped
from plgg.evaluate.markers import summarise_markers
from plgg.evaluate.records import Lesions, Spread, Subgroup, Summary
from plgg.evaluate.resamples import interval
from plgg.evaluate.row import CaseScores
from plgg.evaluate.volumes import summarise_volumes

METRICS = ("dice", "soft_dice", "hd95_mm", "surface_dice", "volume_error_ml")
# A mean of fewer patients says nothing, and may tell who they are.
_LEAST_PATIENTS = 3
NAMED_RIGHTLY = "marker_named_rightly"


def summarise(rows: Sequence[CaseScores], missing: Sequence[str], *, seed: int) -> Summary:
    """The summary of some rows.

    Args:
        rows: One a case; all that name a marker know the same classes.
        missing: Cases without a prediction.
        seed: Of the resampling.
    """
    rng = np.random.default_rng(seed)
    return Summary(
        n_cases=len(rows),
        n_patients=len({row.patient_id for row in rows}),
        n_both_empty=sum(bool(row.both_empty) for row in rows),
        missing=tuple(missing),
        segmentation={name: _spread(rows, name, rng) for name in METRICS},
        lesions=_lesions(rows, rng),
        marker=summarise_markers(rows, rng),
        volumes=summarise_volumes(rows, rng),
        subgroups=tuple(
            _subgroup(trait, level, found, rng)
            for trait in TRAITS
            for level, found in grouped(rows, trait).items()
        ),
    )


def _spread(rows: Sequence[CaseScores], metric: str, rng: np.random.Generator) -> Spread:
    pairs = [(row.patient_id, v) for row in rows if (v := _value(row, metric)) is not None]
    patients = [patient for patient, _ in pairs]
    values = np.array([value for _, value in pairs], dtype=np.float64)
    mean = interval(statistics.mean(values), patients, rng)
    median = interval(statistics.median(values), patients, rng)
    return Spread(
        mean=mean.value,
        median=median.value,
        std=float(values.std(ddof=1)) if len(values) > 1 else None,
        ci_low=mean.ci_low,
        ci_high=mean.ci_high,
        n=len(values),
        median_ci_low=median.ci_low,
        median_ci_high=median.ci_high,
    )


def _value(row: CaseScores, metric: str) -> float | None:
    if metric != NAMED_RIGHTLY:
        found: float | None = getattr(row, metric)
        return found
    known = row.marker in row.probabilities
    return float(_most_probable(row) == row.marker) if known else None


def _most_probable(row: CaseScores) -> str:
    return max(row.probabilities, key=row.probabilities.__getitem__)


def _lesions(rows: Sequence[CaseScores], rng: np.random.Generator) -> Lesions:
    known = [row for row in rows if row.n_lesions is not None]
    n, found, false = (
        _counts(known, name) for name in ("n_lesions", "n_lesions_found", "n_false_lesions")
    )
    patients = [row.patient_id for row in known]
    sensitivity = interval(statistics.ratio(found, n), patients, rng)
    precision = interval(statistics.ratio(found, found + false), patients, rng)
    return Lesions(
        n=int(n.sum()),
        found=int(found.sum()),
        false=int(false.sum()),
        sensitivity=sensitivity.value,
        precision=precision.value,
        sensitivity_ci_low=sensitivity.ci_low,
        sensitivity_ci_high=sensitivity.ci_high,
        precision_ci_low=precision.ci_low,
        precision_ci_high=precision.ci_high,
    )


def _counts(rows: Sequence[CaseScores], name: str) -> NDArray[np.float64]:
    return np.array([getattr(row, name) or 0 for row in rows], dtype=np.float64)


def _subgroup(
    trait: str, level: str, rows: Sequence[CaseScores], rng: np.random.Generator
) -> Subgroup:
    """A subgroup; of few patients only how many."""
    n_patients = len({row.patient_id for row in rows})
    enough = n_patients >= _LEAST_PATIENTS
    spreads = {m: _spread(rows, m, rng) for m in (*METRICS, NAMED_RIGHTLY) if enough}
    return Subgroup(
        group=trait,
        level=level,
        n_patients=n_patients,
        n_scans=len(rows),
        metrics={metric: spread for metric, spread in spreads.items() if spread.n},
    )
