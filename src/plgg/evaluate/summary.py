"""Summarise scored cases: overlap, volumes, classification, calibration; intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plgg.core.estimate import Estimate
from plgg.evaluate import statistics
from plgg.evaluate.records import (
    Abstention,
    Baseline,
    CaseScores,
    Lesions,
    Limits,
    Markers,
    Reliability,
    Spread,
    Subgroup,
    Summary,
    Volumes,
)
from plgg.evaluate.statistics import Statistic, interval, mean
from plgg.evaluate.subgroups import TRAITS, grouped
from plgg.metrics.agreement import bland_altman
from plgg.metrics.calibration import N_BINS, confidence_and_hits, reliability_bins, risk_coverage
from plgg.metrics.classification import confusion

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]


def summarise_markers(rows: Sequence[CaseScores], rng: np.random.Generator) -> Markers | None:
    """Scores of the predicted markers; None where no scan has both a true and a predicted one.

    Args:
        rows: One a case; all with marker probabilities have the same classes.
        rng: Random generator of the bootstrap.
    """
    named = [row for row in rows if row.probabilities and row.marker]
    if not named:
        return None
    classes = tuple(named[0].probabilities)
    unknown = sorted({row.marker for row in named if row.marker and row.marker not in classes})
    scored = [row for row in named if row.marker in classes]
    truth, probabilities = _arrays(scored, classes)
    over = partial(interval, patients=[row.patient_id for row in scored], rng=rng)
    return Markers(
        classes=classes,
        n=len(scored),
        **_scores(truth, probabilities, over),
        auc_by_class={
            name: over(statistics.class_auc(truth, probabilities, label))
            for label, name in enumerate(classes)
        },
        confusion=confusion(truth, probabilities.argmax(axis=1), len(classes)),
        unknown_markers=tuple(unknown),
        reliability=summarise_reliability(probabilities, truth, over) if scored else None,
        abstention=_abstention(scored, (probabilities.argmax(axis=1) == truth).astype(float), rng),
        clinical=_baseline("clinical", scored, classes, rng),
        network=_baseline("network", scored, classes, rng),
        radiomics=_baseline("radiomics", scored, classes, rng),
    )


def _scores(
    truth: Labels, probabilities: Scores, over: Callable[[Statistic], Estimate]
) -> dict[str, Estimate]:
    """The scores that are one number with an interval, by their names in `Markers`."""
    answers, n = probabilities.argmax(axis=1), probabilities.shape[1]
    squares = np.square(probabilities - np.eye(n)[truth]).sum(axis=1)
    return {
        "auc": over(statistics.macro_auc(truth, probabilities)),
        "balanced_accuracy": over(statistics.balanced_accuracy(truth, answers, n)),
        "f1": over(statistics.macro_f1(truth, answers, n)),
        "brier": over(statistics.mean(squares)),
        "accuracy": over(statistics.mean((answers == truth).astype(np.float64))),
    }


def _arrays(rows: Sequence[CaseScores], classes: Sequence[str]) -> tuple[Labels, Scores]:
    """Class indices of shape (n,) and probabilities of shape (n, classes)."""
    truth = np.array([classes.index(row.marker or "") for row in rows], dtype=np.int64)
    probabilities = np.array(
        [[row.probabilities[c] for c in classes] for row in rows], dtype=np.float64
    )
    return truth, probabilities.reshape(len(rows), len(classes))


def _abstention(
    rows: Sequence[CaseScores], right: Scores, rng: np.random.Generator
) -> Abstention | None:
    known = [n for n, row in enumerate(rows) if row.withheld is not None]
    if not known:
        return None
    withheld = np.array([rows[n].withheld for n in known], dtype=np.float64)
    correct, given = right[known], 1.0 - withheld
    over = partial(interval, patients=[rows[n].patient_id for n in known], rng=rng)
    return Abstention(
        n=len(known),
        n_withheld=int(withheld.sum()),
        share=over(statistics.mean(withheld)),
        accuracy=over(statistics.ratio(correct * given, given)),
        accuracy_withheld=over(statistics.ratio(correct * withheld, withheld)),
    )


def _baseline(
    source: Literal["clinical", "network", "radiomics"],
    rows: Sequence[CaseScores],
    classes: Sequence[str],
    rng: np.random.Generator,
) -> Baseline | None:
    """Compare the answer with another source, on the scans that have both for all classes."""
    said: list[dict[str, float]] = [getattr(row, source) for row in rows]
    both = [row for row, other in zip(rows, said, strict=True) if other.keys() == set(classes)]
    if not both:
        return None
    truth, probabilities = _arrays(both, classes)
    others = [other for other in said if other.keys() == set(classes)]
    values = np.array([[other[c] for c in classes] for other in others], dtype=np.float64)
    network, alone = (statistics.macro_auc(truth, scores) for scores in (probabilities, values))

    def over(statistic: Statistic) -> Estimate:
        return interval(statistic, [row.patient_id for row in both], rng)

    return Baseline(
        n=len(both),
        auc=over(alone),
        network_auc=over(network),
        difference=over(statistics.difference(network, alone)),
    )


def summarise_reliability(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    over: Callable[[Statistic], Estimate],
) -> Reliability:
    """Calibration error, reliability diagram and risk–coverage curve of at least one scan.

    Args:
        probabilities: Probabilities, shape (n, classes).
        truth: Class indices, shape (n,).
        over: Computes a statistic with its interval.
    """
    confidence, hits = confidence_and_hits(probabilities, truth)
    return Reliability(
        ece=over(statistics.calibration_error(confidence, hits, N_BINS)),
        bins=reliability_bins(confidence, hits),
        curve=risk_coverage(confidence, hits),
    )


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
        bias=found.bias,
        sd=found.sd,
        lower=found.lower,
        upper=found.upper,
        slope=found.slope,
    )


def _coverage(rows: Sequence[CaseScores], rng: np.random.Generator) -> Estimate | None:
    if not rows:
        return None
    inside = np.array([_holds(row) for row in rows], dtype=np.float64)
    return interval(mean(inside), [row.patient_id for row in rows], rng)


def _holds(row: CaseScores) -> bool:
    low, high, true = row.volume_low_ml, row.volume_high_ml, row.volume_ml
    return low is not None and high is not None and true is not None and low <= true <= high


METRICS = ("dice", "soft_dice", "hd95_mm", "surface_dice", "volume_error_ml")
# A mean of fewer patients is not informative, and could identify them.
_LEAST_PATIENTS = 3
NAMED_RIGHTLY = "marker_named_rightly"


def summarise(rows: Sequence[CaseScores], missing: Sequence[str], *, seed: int) -> Summary:
    """Summarise the scores of all cases.

    Args:
        rows: One a case; all with marker probabilities have the same classes.
        missing: Cases without a prediction.
        seed: Seed of the bootstrap.
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
        ci_low=mean.low,
        ci_high=mean.high,
        n=len(values),
        median_ci_low=median.low,
        median_ci_high=median.high,
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
        sensitivity_ci_low=sensitivity.low,
        sensitivity_ci_high=sensitivity.high,
        precision_ci_low=precision.low,
        precision_ci_high=precision.high,
    )


def _counts(rows: Sequence[CaseScores], name: str) -> NDArray[np.float64]:
    return np.array([getattr(row, name) or 0 for row in rows], dtype=np.float64)


def _subgroup(
    trait: str, level: str, rows: Sequence[CaseScores], rng: np.random.Generator
) -> Subgroup:
    """Summarise a subgroup; fewer than three patients are only counted."""
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
