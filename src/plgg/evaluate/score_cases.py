"""Score many cases in this process, in others or on Ray; cached scores are reused.

A case that cannot be scored is reported, the others go on; the next command tries it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil

from plgg.core.errors import PlggError
from plgg.core.jobs import Workers, run_jobs
from plgg.core.ray_session import RayWorkers
from plgg.core.workers import JobOutcome
from plgg.data.budget import GIB, current_limit_bytes, scan_limit
from plgg.data.manifest import Case
from plgg.evaluate.case import ScoredCase, score_case
from plgg.evaluate.predictions import Prediction
from plgg.evaluate.records import FailedScore
from plgg.evaluate.score_cache import ScoreCache, cache_key
from plgg.evaluate.tasks import ScorerOf

log = logging.getLogger(__name__)
Pair = tuple[Case, Prediction]
# Peak memory of a process: truth, mask and probability of one case, and distances between them.
PROCESS_GIB = 1.5
# Distances between the surfaces of two masks of 0.5 mm take half a minute.
CASE_SECONDS = 1800.0


def score_in_process(
    pairs: Sequence[Pair], scorer_of: ScorerOf, kept: ScoreCache | None = None
) -> Generator[ScoredCase | FailedScore, None, None]:
    """Score cases one after the other in this process."""
    for case, prediction in pairs:
        key = cache_key(case, prediction) if kept else ""
        found = kept.get(key) if kept else None
        yield found or _add_to_cache(kept, key, try_score_case(case, prediction, scorer_of))


def score_in_workers(
    pairs: Sequence[Pair], scorer_of: ScorerOf, kept: ScoreCache, *, workers: Workers, out: Path
) -> Generator[ScoredCase | FailedScore, None, None]:
    """Score cases in worker processes, and yield the scores in the order of the cases.

    Args:
        pairs: Cases and their predictions.
        scorer_of: Gives the scorer of a kind of task; a module-level function.
        kept: Cache with the scores of an interrupted evaluation; new scores are added to it.
        workers: Processes, here or on Ray.
        out: Folder of the evaluation.
    """
    keys = [cache_key(*pair) for pair in pairs]
    missing = [pair for key, pair in zip(keys, pairs, strict=True) if kept.get(key) is None]
    many, gib = _limits(workers)
    coming = run_jobs(
        missing,
        _score,
        start=partial(_make_scorer, scorer_of, current_limit_bytes() / GIB),
        workers=many,
        out=out,
        inputs=[pair[1].mask for pair in missing[:1]],
        seconds=CASE_SECONDS,
        gib=gib,
    )
    for key, (case, _) in zip(keys, pairs, strict=True):
        yield kept.get(key) or _add_to_cache(kept, key, _outcome(case, next(coming)))


def _limits(workers: Workers) -> tuple[Workers, float | None]:
    if isinstance(workers, RayWorkers):
        return replace(workers, gib=PROCESS_GIB), None
    free = float(psutil.virtual_memory().available) / GIB
    return workers, max(2.0 * PROCESS_GIB, free / workers)


_Score = Callable[[Case, Prediction], ScoredCase | FailedScore]


def _make_scorer(scorer_of: ScorerOf, scan_gib: float) -> _Score:
    return partial(_within_limit, scorer_of, scan_gib)


def _within_limit(
    scorer_of: ScorerOf, scan_gib: float, case: Case, prediction: Prediction
) -> ScoredCase | FailedScore:
    with scan_limit(scan_gib):
        return try_score_case(case, prediction, scorer_of)


def _score(score: _Score, pair: Pair) -> ScoredCase | FailedScore:
    return score(*pair)


def try_score_case(
    case: Case, prediction: Prediction, scorer_of: ScorerOf
) -> ScoredCase | FailedScore:
    """Score a case; any error becomes the reason of a `FailedScore`."""
    try:
        return score_case(case, prediction, scorer_of)
    except Exception as error:  # the one guard around a case of a batch
        log.debug("case %s could not be scored", case.case_id, exc_info=True)
        return FailedScore(case_id=case.case_id, reason=_reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, PlggError):
        return str(error)
    return f"its masks could not be scored ({type(error).__name__})"


def _outcome(case: Case, outcome: JobOutcome[ScoredCase | FailedScore]) -> ScoredCase | FailedScore:
    """Scores of a case, or how its worker process was killed or stopped at a limit."""
    if outcome.result is not None:
        return outcome.result
    return FailedScore(case_id=case.case_id, reason=f"{outcome.reason}. Look at its masks.")


def _add_to_cache(
    kept: ScoreCache | None, key: str, found: ScoredCase | FailedScore
) -> ScoredCase | FailedScore:
    if kept and isinstance(found, ScoredCase):
        kept.add(key, found)
    return found
