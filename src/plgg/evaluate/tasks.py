"""Evaluation of auxiliary tasks: scores of each scan, and metrics with confidence intervals.

Each kind of task defines its metrics. They are passed in as a `Scorer`, because importing the kinds
needs torch and evaluation does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plgg.core.estimate import Estimate
from plgg.data.manifest import Case, target_text
from plgg.data.result import TaskAnswer
from plgg.evaluate.labels import KIND, LabelScorer
from plgg.evaluate.predictions import ReportedTask
from plgg.evaluate.records import CaseScores, TaskScores, TaskSummary
from plgg.evaluate.statistics import draw

Array = NDArray[np.float64]


class Scorer(Protocol):
    """The metrics of a kind of task."""

    @property
    def lower_is_better(self) -> frozenset[str]:
        """The metrics of which lower values are better."""

    def case_scores(self, answer: TaskAnswer, text: str, /) -> dict[str, float]:
        """The scores of one scan, whose means over scans are metrics."""

    def metrics(self, answers: Sequence[TaskAnswer], texts: Sequence[str], /) -> dict[str, float]:
        """The metrics that need several scans."""


ScorerOf = Callable[[str], Scorer | None]
"""Gives the scorer of a kind of task by its name; None for an unknown kind."""


def no_scorer(kind: str) -> Scorer | None:  # noqa: ARG001 - as those that know kinds
    """Return None for every kind, so that tasks are listed but not scored."""
    return None


def score_tasks(
    case: Case, said: dict[str, ReportedTask], scorer_of: ScorerOf
) -> dict[str, TaskScores]:
    """Answers and truths of one scan, with the scores that one scan has."""
    found = {}
    for name, answer in said.items():
        truth = target_text(case, answer.column or name)
        scorer = scorer_of(answer.kind)
        known: dict[str, Any] = answer.model_dump(exclude={"column"})
        scores = scorer.case_scores(answer, truth) if scorer and truth is not None else {}
        finite = {key: value for key, value in scores.items() if np.isfinite(value)}
        found[name] = TaskScores(truth=truth, scores=finite, **known)
    return found


def summarise_tasks(
    rows: Sequence[CaseScores], scorer_of: ScorerOf, *, seed: int
) -> dict[str, TaskSummary]:
    """Metrics of each task over the scans whose target is known, with intervals over patients.

    Args:
        rows: One a case.
        scorer_of: Gives the scorer of a kind of task.
        seed: Seed of the bootstrap over patients.
    """
    names = dict.fromkeys(name for row in rows for name in row.tasks)
    return {
        name: _summary([row for row in rows if name in row.tasks], name, scorer_of, seed)
        for name in names
    }


def _summary(found: Sequence[CaseScores], name: str, scorer_of: ScorerOf, seed: int) -> TaskSummary:
    rows = [row for row in found if row.tasks[name].truth is not None]
    scored = [row.tasks[name] for row in rows]
    kind = found[0].tasks[name].kind
    scorer: Scorer | None = LabelScorer() if kind == KIND else scorer_of(kind)
    if scorer is None or not scored:
        return TaskSummary(kind=kind, n=len(scored), metrics={})
    # A generator of its own: other numbers of an evaluation do not depend on its tasks.
    weights = draw([row.patient_id for row in rows], np.random.default_rng(seed))
    values = _values(scored, scorer, np.ones(len(scored)))
    drawn = [] if weights is None else [_values(scored, scorer, row) for row in weights]
    return TaskSummary(
        kind=kind,
        n=len(scored),
        metrics={metric: _interval(value, metric, drawn) for metric, value in values.items()},
        lower_is_better=tuple(sorted(scorer.lower_is_better & values.keys())),
    )


def _values(scored: Sequence[TaskScores], scorer: Scorer, weights: Array) -> dict[str, float]:
    """All metrics over a resample; `weights` is how often it holds each scan."""
    drawn = list(_repeated(scored, weights))
    if not drawn:
        return {}
    names = dict.fromkeys(name for one in drawn for name in one.scores)
    means = {
        name: float(np.mean([one.scores[name] for one in drawn if name in one.scores]))
        for name in names
    }
    found = means | scorer.metrics(drawn, [one.truth or "" for one in drawn])
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _repeated(scored: Sequence[TaskScores], weights: Array) -> Iterator[TaskScores]:
    for one, times in zip(scored, weights, strict=True):
        for _ in range(int(times)):
            yield one


def _interval(value: float, metric: str, drawn: Sequence[dict[str, float]]) -> Estimate:
    """The 95 % percentile interval, as `plgg.evaluate.statistics.interval` has it."""
    found = [one[metric] for one in drawn if metric in one]
    n_undefined = len(drawn) - len(found)
    if not drawn or len(found) < len(drawn) / 2:
        return Estimate(value, n_undefined=n_undefined)
    low, high = np.percentile(found, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n_undefined=n_undefined)
