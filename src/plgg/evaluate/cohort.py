"""Scoring a folder of predictions against a cohort; no case is dropped silently."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from plgg.errors import InputError
from plgg.evaluate.case import predicted_mask, score_case
from plgg.evaluate.records import Evaluation
from plgg.evaluate.storage import write_evaluation
from plgg.evaluate.summary import summarise
from plgg.io.files import make_folder
from plgg.io.manifest import Case
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
    """Score every case that has a prediction and write `cases.csv` and `summary.json`.

    Args:
        predictions: Folder of CASE/mask.nii.gz (plgg) or CASE.nii.gz (any tool).
        cases: The truth.
        out: Folder to write.
        seed: Of the resampling of patients.
        progress: Called with (done, all) after each case.

    Returns:
        Rows and summary; cases without a prediction are in `summary.missing`.

    Raises:
        InputError: If no case has a prediction, or one lies on another grid than its truth.
    """
    found = [(case, predicted_mask(predictions, case.case_id)) for case in cases]
    missing = [case.case_id for case, mask in found if mask is None]
    if len(missing) == len(found):
        raise InputError(
            "holds no prediction of any case of the manifest",
            where=predictions,
            remedy="Masks are looked for as CASE/mask.nii.gz and CASE.nii.gz.",
        )
    if missing:
        log.warning("%d of %d cases have no prediction", len(missing), len(found))
    make_folder(out)
    rows = []
    for done, (case, mask) in enumerate(found, start=1):
        if mask is not None:
            rows.append(score_case(case, mask))
        if progress:
            progress(done, len(found))
    evaluation = Evaluation(tuple(rows), summarise(rows, missing, seed=seed))
    write_evaluation(out, evaluation)
    return evaluation
