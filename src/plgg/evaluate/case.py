"""Scoring one case: its predicted mask against the true one, its named marker beside the known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from plgg.check.finding import first_error
from plgg.check.mask import inspect_mask
from plgg.errors import InputError
from plgg.evaluate.place import tumour_place
from plgg.evaluate.prediction import Prediction, Said, read_said
from plgg.evaluate.row import CaseScores
from plgg.io.manifest import Case
from plgg.io.nifti import read_volume
from plgg.metrics import count_lesions, hard_dice, soft_dice, surface_scores, volume_ml
from plgg.volume import Volume, same_grid


def score_case(case: Case, prediction: Prediction) -> CaseScores:
    """Score one case; what has no truth stays None.

    Args:
        case: The truth.
        prediction: Where the predicted mask lies, and what is beside it.

    Raises:
        InputError: If a file cannot be read or lies on another grid than the truth.
    """
    predicted = _predicted_mask(prediction.mask)
    scores: dict[str, Any] = {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "marker": case.marker,
        "site": case.site,
        "age_years": case.age_years,
        "sex": case.sex,
        "predicted_volume_ml": _volume_ml(predicted),
    }
    if prediction.result is not None:
        scores |= _said(read_said(prediction.result))
    if case.mask is not None:
        truth = _finite(case.mask, "Mend the mask, or leave its cell in the manifest blank.")
        scores |= _segmentation(case, predicted, truth) | _place(case, truth)
        if prediction.probability is not None:
            scores["soft_dice"] = _soft_dice(case, prediction.probability, truth)
    return CaseScores.model_validate(scores)


def _said(said: Said) -> dict[str, Any]:
    """What the prediction says beside its mask."""
    scores: dict[str, Any] = {}
    if said.marker is not None:
        scores |= {
            "predicted_marker": said.marker.predicted,
            "probabilities": said.marker.probabilities,
            "withheld": said.marker.withheld,
            "clinical": said.marker.clinical_only or {},
        }
    if said.volume_interval is not None:
        scores |= {
            "volume_low_ml": said.volume_interval.low_ml,
            "volume_high_ml": said.volume_interval.high_ml,
            "volume_interval_level": said.volume_interval.level,
        }
    return scores


def _place(case: Case, truth: Volume) -> dict[str, Any]:
    place = tumour_place(case, truth)
    return {} if place is None else {"side": place.side, "region": place.region}


def _segmentation(case: Case, predicted: Volume, truth: Volume) -> dict[str, Any]:
    _require_grid(predicted, truth, case)
    p, t = predicted.data > 0, truth.data > 0
    surfaces = surface_scores(p, t, spacing_mm=truth.spacing_mm)
    lesions = count_lesions(p, t, voxel_volume_ml=truth.voxel_volume_ml)
    return {
        "dice": hard_dice(p, t),
        "hd95_mm": surfaces.hd95_mm,
        "surface_dice": surfaces.surface_dice,
        "n_lesions": lesions.n,
        "n_lesions_found": lesions.found,
        "n_false_lesions": lesions.false,
        "volume_ml": _volume_ml(truth),
        "volume_error_ml": _volume_ml(predicted) - _volume_ml(truth),
        "both_empty": not p.any() and not t.any(),
    }


def _soft_dice(case: Case, path: Path, truth: Volume) -> float:
    probability = _finite(path, "Predict this case again.")
    _require_grid(probability, truth, case)
    return soft_dice(probability.data, truth.data > 0)


def _predicted_mask(path: Path) -> Volume:
    """A mask of any labels above 0; a map of probabilities would be tumour all over."""
    mask = read_volume(path)
    wrong = first_error(inspect_mask(mask, None))
    if wrong:
        raise InputError(
            wrong.message,
            where=path,
            remedy="Write a mask of 0 and 1: threshold a probability at 0.5.",
        )
    return mask


def _finite(path: Path, remedy: str) -> Volume:
    volume = read_volume(path)
    if not np.isfinite(volume.data).all():
        raise InputError("holds NaN or infinity", where=path, remedy=remedy)
    return volume


def _require_grid(predicted: Volume, truth: Volume, case: Case) -> None:
    if not same_grid(predicted, truth):
        raise InputError(
            f"the prediction's grid {predicted.shape} is not the true mask's {truth.shape}, or it "
            "lies elsewhere",
            where=case.case_id,
            remedy="Resample the prediction onto the patient's own scan.",
        )


def _volume_ml(mask: Volume) -> float:
    return volume_ml(mask.data > 0, voxel_volume_ml=mask.voxel_volume_ml)
