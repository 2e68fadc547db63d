"""Scoring a folder of predictions against a cohort; no case is dropped silently."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from plgg.check.finding import listed
from plgg.errors import InputError
from plgg.evaluate.case import score_case
from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.prediction import find_prediction
from plgg.evaluate.row import CaseScores
from plgg.evaluate.storage import write_evaluation
from plgg.evaluate.summary import summarise
from plgg.io.manifest import Case
from plgg.io.output import EVALUATION, output_folder, require_free
from plgg.watch import Progress

log = logging.getLogger(__name__)


def evaluate_predictions(
    predictions: Path,
    cases: Sequence[Case],
    *,
    out: Path,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Score every case that has a prediction; write cases.csv, subgroups.csv and summary.json.

    Args:
        predictions: Folder of CASE/mask.nii.gz (plgg) or CASE.nii.gz (any tool).
        cases: The truth.
        out: Folder to write.
        seed: Of the resampling of patients.
        progress: Called with (done, all) after each case.

    Returns:
        Rows and summary; cases without a prediction are in `summary.missing`.

    Raises:
        InputError: If there is no case or none has a prediction, if one cannot be read, lies on
            another grid than its truth, or names other marker classes than the rest.
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
    rows = []
    for done, (case, prediction) in enumerate(found, start=1):
        if prediction is not None:
            rows.append(score_case(case, prediction))
        if progress:
            progress(done, len(found))
    _require_one_model(rows)
    summary = summarise(rows, missing, seed=seed)
    if summary.marker and summary.marker.unknown_markers:
        log.warning("markers unknown to the model: %s", listed(summary.marker.unknown_markers))
    evaluation = Evaluation(tuple(rows), summary)
    with output_folder(out, EVALUATION):
        write_evaluation(out, evaluation)
    return evaluation


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
