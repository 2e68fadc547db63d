"""From rows to a summary: means, medians and intervals by patient. Knows nothing of files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plgg.evaluate.records import (
    CaseScores,
    Interval,
    Lesions,
    Markers,
    Spread,
    Summary,
)
from plgg.metrics import Estimate, macro_auc, patient_interval, score_markers
from plgg.metrics.markers import balanced_accuracy, macro_f1

METRICS = ("dice", "soft_dice", "hd95_mm", "surface_dice", "volume_error_ml")


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
        lesions=_lesions(rows),
        marker=_markers(rows, rng),
    )


def _spread(rows: Sequence[CaseScores], metric: str, rng: np.random.Generator) -> Spread:
    known = [row for row in rows if getattr(row, metric) is not None]
    values = np.array([getattr(row, metric) for row in known], dtype=np.float64)
    mean = patient_interval(lambda i: float(values[i].mean()), [r.patient_id for r in known], rng)
    return Spread(
        mean=mean.value,
        median=float(np.median(values)) if len(values) else None,
        std=float(values.std(ddof=1)) if len(values) > 1 else None,
        ci_low=mean.ci_low,
        ci_high=mean.ci_high,
        n=len(values),
    )


def _lesions(rows: Sequence[CaseScores]) -> Lesions:
    n, found, false = (
        sum(getattr(row, name) or 0 for row in rows)
        for name in ("n_lesions", "n_lesions_found", "n_false_lesions")
    )
    return Lesions(
        n=n,
        found=found,
        false=false,
        sensitivity=found / n if n else None,
        precision=found / (found + false) if found + false else None,
    )


def _markers(rows: Sequence[CaseScores], rng: np.random.Generator) -> Markers | None:
    named = [row for row in rows if row.probabilities and row.marker]
    if not named:
        return None
    classes = tuple(named[0].probabilities)
    unknown = sorted({row.marker for row in named if row.marker and row.marker not in classes})
    scored = [row for row in named if row.marker in classes]
    truth = np.array([classes.index(row.marker or "") for row in scored], dtype=np.int64)
    chances = np.array([[row.probabilities[c] for c in classes] for row in scored])
    chances = chances.reshape(len(scored), len(classes))
    patients = [row.patient_id for row in scored]
    scores = score_markers(truth, chances)
    answers = chances.argmax(axis=1)
    squares = np.square(chances - np.eye(len(classes))[truth]).sum(axis=1)
    n = len(classes)
    return Markers(
        classes=classes,
        n=len(scored),
        auc=_interval(patient_interval(lambda i: macro_auc(truth[i], chances[i]), patients, rng)),
        auc_by_class=dict(zip(classes, scores.auc_by_class, strict=True)),
        balanced_accuracy=_interval(
            patient_interval(lambda i: balanced_accuracy(truth[i], answers[i], n), patients, rng)
        ),
        f1=_interval(patient_interval(lambda i: macro_f1(truth[i], answers[i], n), patients, rng)),
        brier=_interval(patient_interval(lambda i: float(squares[i].mean()), patients, rng)),
        confusion=scores.confusion,
        unknown_markers=tuple(unknown),
    )


def _interval(estimate: Estimate) -> Interval:
    return Interval(
        value=estimate.value,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        n_undefined=estimate.n_undefined,
    )
