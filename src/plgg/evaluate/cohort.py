"""Evaluate a folder of predictions against a cohort; cases without scores are listed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from plgg.core.errors import InputError
from plgg.core.jobs import Workers
from plgg.core.output import EVALUATION, output_folder, require_free
from plgg.core.progress import Progress
from plgg.data.check.report import listed
from plgg.data.manifest import Case
from plgg.evaluate.case import ScoredCase
from plgg.evaluate.evaluation import Evaluation, write_evaluation
from plgg.evaluate.predictions import Prediction, find_prediction
from plgg.evaluate.records import CaseScores, FailedScore
from plgg.evaluate.score_cache import CACHE_FILE, ScoreCache
from plgg.evaluate.score_cases import Pair, score_in_process, score_in_workers
from plgg.evaluate.summary import summarise
from plgg.evaluate.tasks import ScorerOf, no_scorer, summarise_tasks
from plgg.metrics.further import METRICS

log = logging.getLogger(__name__)


def evaluate_predictions(
    predictions: Path,
    cases: Sequence[Case],
    *,
    out: Path,
    seed: int = 0,
    scorer_of: ScorerOf = no_scorer,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score every case that has a prediction; write cases.csv, subgroups.csv and summary.json.

    Args:
        predictions: Folder of CASE/mask.nii.gz (plgg) or CASE.nii.gz (any tool).
        cases: The cases with their true masks and markers.
        out: Folder to write.
        seed: Seed of the bootstrap over patients.
        scorer_of: Gives the scorer of a kind of task.
        workers: Processes that share the cases, here or on Ray. Scores are then cached in `out`,
            so that an interrupted evaluation can resume. None scores in this process, without a
            cache.
        progress: Called with (done, all) after each case.

    Returns:
        Rows and summary; cases without a prediction are in `summary.missing`, and those that
        could not be scored, with the reason, in `summary.failed`.

    Raises:
        InputError: If there is no case, none has a prediction or none can be scored, or if one
            names other marker classes than the rest.
        OutputError: If the folder cannot be written to.
    """
    found = [(case, find_prediction(predictions, case.case_id)) for case in cases]
    missing = [case.case_id for case, prediction in found if prediction is None]
    if len(missing) == len(found):
        raise InputError(
            "holds no prediction of any case of the manifest",
            where=predictions,
            remedy="Masks are looked for as CASE/mask.nii.gz and CASE.nii.gz.",
        )
    if missing:
        log.warning(
            "%d of %d cases have no prediction: %s", len(missing), len(found), listed(missing)
        )
    METRICS.load_all()
    require_free(out, EVALUATION)
    if workers is None:
        scored, failed = _score_all(found, scorer_of, progress)
        return _summarise_and_write(
            scored, failed, missing, out=out, seed=seed, scorer_of=scorer_of
        )
    with output_folder(out, EVALUATION):
        kept = ScoreCache(out / CACHE_FILE)
        scored, failed = _score_all(found, scorer_of, progress, workers, out, kept)
        evaluation = _summarise_and_write(
            scored, failed, missing, out=out, seed=seed, scorer_of=scorer_of
        )
        kept.forget()
    return evaluation


def _summarise_and_write(
    scored: list[ScoredCase],
    failed: list[FailedScore],
    missing: list[str],
    *,
    out: Path,
    seed: int,
    scorer_of: ScorerOf,
) -> Evaluation:
    if not scored:
        raise InputError(
            f"no case could be scored; the first, {failed[0].case_id}: "
            f"{failed[0].reason.rstrip('.')}"
        )
    _log_warnings(scored)
    rows = tuple(one.scores for one in scored)
    _require_one_model(rows)
    summary = summarise(rows, missing, seed=seed).model_copy(
        update={
            "failed": tuple(failed),
            "tasks": summarise_tasks(rows, scorer_of, seed=seed),
        }
    )
    if summary.marker and summary.marker.unknown_markers:
        log.warning("markers unknown to the model: %s", listed(summary.marker.unknown_markers))
    evaluation = Evaluation(rows, summary)
    with output_folder(out, EVALUATION):
        write_evaluation(out, evaluation)
    return evaluation


def _score_all(
    found: Sequence[tuple[Case, Prediction | None]],
    scorer_of: ScorerOf,
    progress: Progress | None,
    workers: Workers = 1,
    out: Path | None = None,
    kept: ScoreCache | None = None,
) -> tuple[list[ScoredCase], list[FailedScore]]:
    pairs: list[Pair] = [(case, there) for case, there in found if there is not None]
    coming = (
        score_in_process(pairs, scorer_of, kept)
        if out is None or kept is None or workers == 1
        else score_in_workers(pairs, scorer_of, kept, workers=workers, out=out)
    )
    scored: list[ScoredCase] = []
    failed: list[FailedScore] = []
    n_missing = len(found) - len(pairs)
    with closing(coming):
        for done, one in enumerate(coming, start=1 + n_missing):
            if isinstance(one, ScoredCase):
                scored.append(one)
            else:
                failed.append(one)
            if progress:
                progress(done, len(found))
    return scored, failed


def _log_warnings(scored: Sequence[ScoredCase]) -> None:
    """Log one line on the warnings of the mask checks: their number, and the first of them."""
    doubtful = [one for one in scored if one.warnings]
    if doubtful:
        n = sum(len(one.warnings) for one in doubtful)
        log.warning(
            "%d %s on the masks of %d %s (plgg check lists those of the manifest), the first: "
            "%s: %s",
            n,
            "warning" if n == 1 else "warnings",
            len(doubtful),
            "case" if len(doubtful) == 1 else "cases",
            doubtful[0].scores.case_id,
            doubtful[0].warnings[0],
        )


def _require_one_model(rows: Sequence[CaseScores]) -> None:
    named = [row for row in rows if row.probabilities]
    for row in named[1:]:
        if row.probabilities.keys() != named[0].probabilities.keys():
            raise InputError(
                f"the named markers ({listed(row.probabilities)}) are not those of "
                f"{named[0].case_id} ({listed(named[0].probabilities)})",
                where=row.case_id,
                remedy="Predict all cases with one model.",
            )
