"""Scoring a folder of predictions against a cohort; no case is dropped silently."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from plgg.core.errors import InputError, PlggError
from plgg.core.output import EVALUATION, output_folder, require_free
from plgg.core.progress import Progress
from plgg.data.check.report import listed
from plgg.data.manifest import Case
from plgg.evaluate.case import Scored, score_case
from plgg.evaluate.evaluation import Evaluation, write_evaluation
from plgg.evaluate.predictions import Prediction, find_prediction
from plgg.evaluate.records import CaseScores, FailedScore
from plgg.evaluate.summary import summarise
from plgg.evaluate.tasks import ScorerOf, nobody, summarise_tasks

log = logging.getLogger(__name__)


def evaluate_predictions(
    predictions: Path,
    cases: Sequence[Case],
    *,
    out: Path,
    seed: int = 0,
    scorer_of: ScorerOf = nobody,
    progress: Progress | None = None,
) -> Evaluation:
    """Score every case that has a prediction; write cases.csv, subgroups.csv and summary.json.

    Args:
        predictions: Folder of CASE/mask.nii.gz (plgg) or CASE.nii.gz (any tool).
        cases: The truth.
        out: Folder to write.
        seed: Of the resampling of patients.
        scorer_of: Knows the metrics of the kinds of tasks.
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
    require_free(out, EVALUATION)
    scored, failed = _scored(found, scorer_of, progress)
    if not scored:
        raise InputError(
            f"no case could be scored; the first, {failed[0].case_id}: "
            f"{failed[0].reason.rstrip('.')}"
        )
    _tell_warnings(scored)
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


def _scored(
    found: Sequence[tuple[Case, Prediction | None]],
    scorer_of: ScorerOf,
    progress: Progress | None,
) -> tuple[list[Scored], list[FailedScore]]:
    scored, failed = [], []
    for done, (case, prediction) in enumerate(found, start=1):
        if prediction is not None:
            try:
                scored.append(score_case(case, prediction, scorer_of))
            except Exception as error:  # the one guard around a case of a batch
                log.debug("case %s could not be scored", case.case_id, exc_info=True)
                failed.append(FailedScore(case_id=case.case_id, reason=_reason(error)))
        if progress:
            progress(done, len(found))
    return scored, failed


def _reason(error: Exception) -> str:
    if isinstance(error, PlggError):
        return str(error)
    return f"its masks could not be scored ({type(error).__name__})"


def _tell_warnings(scored: Sequence[Scored]) -> None:
    """One line of what a check warns of, with the number of warnings and the first."""
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
