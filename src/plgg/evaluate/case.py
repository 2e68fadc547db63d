"""Scoring one case: its predicted mask against the true one, its named marker beside the known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plgg.check import usable_mask
from plgg.check.axes import turned_onto
from plgg.check.tumour_size import impossible_size
from plgg.errors import InputError
from plgg.evaluate.place import tumour_place
from plgg.evaluate.prediction import Prediction, Said, read_said
from plgg.evaluate.row import CaseScores
from plgg.io.labels import mask_labels
from plgg.io.manifest import Case
from plgg.io.nifti import read_volume
from plgg.metrics import count_lesions, hard_dice, soft_dice, surface_scores, volume_ml
from plgg.volume import Volume


@dataclass(frozen=True)
class Scored:
    """A case's scores, and what a check of its true and its predicted mask warns of."""

    scores: CaseScores
    warnings: tuple[str, ...] = ()


def score_case(case: Case, prediction: Prediction) -> Scored:
    """Score one case; what has no truth stays None.

    Args:
        case: The truth, judged as the check judges it.
        prediction: Where the predicted mask lies, and what is beside it.

    Raises:
        InputError: If a file cannot be read or is no mask, or the prediction lies elsewhere than
            the truth.
    """
    predicted = _predicted_mask(prediction.mask)
    warnings = tuple(f"of the prediction, {one.message}" for one in impossible_size(predicted))
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
        true = usable_mask(case.mask, None)
        truth, warnings = true.volume, (*true.doubts, *warnings)
        scores |= _segmentation(predicted, truth) | _place(case, truth)
        if prediction.probability is not None:
            scores["soft_dice"] = _soft_dice(prediction.probability, truth)
    return Scored(CaseScores.model_validate(scores), warnings)


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


def _segmentation(native: Volume, truth: Volume) -> dict[str, Any]:
    predicted = _onto(native, truth)
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


def _soft_dice(path: Path, truth: Volume) -> float:
    probability = read_volume(path)
    if not np.isfinite(probability.data).all():
        raise InputError("holds NaN or infinity", where=path, remedy="Predict this case again.")
    return soft_dice(_onto(probability, truth).data, truth.data > 0)


def _predicted_mask(path: Path) -> Volume:
    """A mask of any labels above 0; a map of probabilities would be tumour all over.

    However bad a prediction is, it is scored; but where no voxel is 0, nothing says which value is
    the background.
    """
    mask = read_volume(path)
    remedy = "Write a mask of 0 and 1: threshold a probability at 0.5."
    try:
        labels = mask.with_data(mask_labels(mask.data))
    except InputError as error:
        raise InputError(error.what, where=path, remedy=remedy) from error
    if (labels.data > 0).all():
        raise InputError("no voxel of the mask is 0", where=path, remedy=remedy)
    return labels


def _onto(predicted: Volume, truth: Volume) -> Volume:
    """The prediction on the truth's voxels, in their axis order."""
    turned = turned_onto(predicted, truth)
    if turned is None:
        raise InputError(
            f"the prediction's grid {predicted.shape} is not the true mask's {truth.shape}, or it "
            "lies elsewhere",
            remedy="Resample the prediction onto the patient's own scan.",
        )
    return turned


def _volume_ml(mask: Volume) -> float:
    return volume_ml(mask.data > 0, voxel_volume_ml=mask.voxel_volume_ml)
