"""How well markers were named: ranking, calibration, abstention, and the clinical baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from plgg.evaluate import statistics
from plgg.evaluate.records import Abstention, Baseline, Interval, Markers
from plgg.evaluate.reliability import summarise_reliability
from plgg.evaluate.resamples import Statistic, interval
from plgg.evaluate.row import CaseScores
from plgg.metrics import score_markers

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]


def summarise_markers(rows: Sequence[CaseScores], rng: np.random.Generator) -> Markers | None:
    """Scores of the named markers; None where no scan has both a known and a named one.

    Args:
        rows: One a case; all that name a marker know the same classes.
        rng: Of the resampling.
    """
    named = [row for row in rows if row.probabilities and row.marker]
    if not named:
        return None
    classes = tuple(named[0].probabilities)
    unknown = sorted({row.marker for row in named if row.marker and row.marker not in classes})
    scored = [row for row in named if row.marker in classes]
    truth, chances = _arrays(scored, classes)
    over = partial(interval, patients=[row.patient_id for row in scored], rng=rng)
    return Markers(
        classes=classes,
        n=len(scored),
        **_scores(truth, chances, over),
        auc_by_class={
            name: over(statistics.class_auc(truth, chances, label))
            for label, name in enumerate(classes)
        },
        confusion=score_markers(truth, chances).confusion,
        unknown_markers=tuple(unknown),
        reliability=summarise_reliability(chances, truth, over) if scored else None,
        abstention=_abstention(scored, (chances.argmax(axis=1) == truth).astype(float), rng),
        clinical=_baseline(scored, classes, rng),
    )


def _scores(
    truth: Labels, chances: Scores, over: Callable[[Statistic], Interval]
) -> dict[str, Interval]:
    """The scores that are one number with an interval, by their names in `Markers`."""
    answers, n = chances.argmax(axis=1), chances.shape[1]
    squares = np.square(chances - np.eye(n)[truth]).sum(axis=1)
    return {
        "auc": over(statistics.macro_auc(truth, chances)),
        "balanced_accuracy": over(statistics.balanced_accuracy(truth, answers, n)),
        "f1": over(statistics.macro_f1(truth, answers, n)),
        "brier": over(statistics.mean(squares)),
        "accuracy": over(statistics.mean((answers == truth).astype(np.float64))),
    }


def _arrays(rows: Sequence[CaseScores], classes: Sequence[str]) -> tuple[Labels, Scores]:
    """Class indices of shape (n,) and probabilities of shape (n, classes)."""
    truth = np.array([classes.index(row.marker or "") for row in rows], dtype=np.int64)
    chances = np.array([[row.probabilities[c] for c in classes] for row in rows], dtype=np.float64)
    return truth, chances.reshape(len(rows), len(classes))


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
    rows: Sequence[CaseScores], classes: Sequence[str], rng: np.random.Generator
) -> Baseline | None:
    """Network and clinical data on the scans that have both, of the same classes."""
    both = [row for row in rows if row.clinical.keys() == set(classes)]
    if not both:
        return None
    truth, chances = _arrays(both, classes)
    clinical = np.array([[row.clinical[c] for c in classes] for row in both], dtype=np.float64)
    network, alone = (statistics.macro_auc(truth, scores) for scores in (chances, clinical))

    def over(statistic: Statistic) -> Interval:
        return interval(statistic, [row.patient_id for row in both], rng)

    return Baseline(
        n=len(both),
        auc=over(alone),
        network_auc=over(network),
        difference=over(statistics.difference(network, alone)),
    )
