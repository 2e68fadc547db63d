"""Scoring one case: its predicted mask against the true one, its named marker beside the known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from plgg.errors import InputError
from plgg.evaluate.records import CaseScores
from plgg.io.files import read_json
from plgg.io.manifest import Case
from plgg.io.nifti import read_volume
from plgg.metrics import count_lesions, hard_dice, hd95_mm, soft_dice, surface_dice
from plgg.volume import Volume, same_grid


def predicted_mask(predictions: Path, case_id: str) -> Path | None:
    """Where the mask of a case lies: CASE/mask.nii.gz, or CASE.nii.gz as other tools write it."""
    for name in (f"{case_id}/mask.nii.gz", f"{case_id}.nii.gz", f"{case_id}.nii"):
        if (predictions / name).is_file():
            return predictions / name
    return None


def score_case(case: Case, mask: Path) -> CaseScores:
    """Score one case.

    Args:
        case: The truth.
        mask: The predicted mask; `probability.nii.gz` and `result.json` beside it are used.

    Raises:
        InputError: If a file cannot be read or lies on another grid than the truth.
    """
    result = _result(mask)
    marker = result.get("marker") or {}
    predicted = _read(mask, case)
    scores: dict[str, Any] = {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "marker": case.marker,
        "site": case.site,
        "age_years": case.age_years,
        "sex": case.sex,
        "predicted_volume_ml": _volume_ml(predicted),
        "predicted_marker": marker.get("predicted"),
        "probabilities": marker.get("probabilities", {}),
    }
    if case.mask is not None:
        scores |= _segmentation(case, predicted, mask.parent / "probability.nii.gz")
    return CaseScores.model_validate(scores)


def _result(mask: Path) -> dict[str, Any]:
    path = mask.parent / "result.json"
    if mask.name != "mask.nii.gz" or not path.is_file():
        return {}
    try:
        result: dict[str, Any] = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError("is not JSON", where=path, remedy="Predict this case again.") from error
    return result


def _read(path: Path, case: Case) -> Volume:
    volume = read_volume(path)
    if not np.isfinite(volume.data).all():
        raise InputError(
            "holds NaN or infinity", where=path, remedy=f"Predict {case.case_id} again."
        )
    return volume


def _segmentation(case: Case, predicted: Volume, probability: Path) -> dict[str, Any]:
    truth = _read(case.mask, case) if case.mask else predicted
    _require_grid(predicted, truth, case)
    p, t = predicted.data > 0, truth.data > 0
    spacing = truth.spacing_mm
    lesions = count_lesions(p, t, voxel_volume_ml=truth.voxel_volume_ml)
    soft = None
    if probability.is_file():
        chance = _read(probability, case)
        _require_grid(chance, truth, case)
        soft = soft_dice(chance.data, t)
    return {
        "dice": hard_dice(p, t),
        "soft_dice": soft,
        "hd95_mm": hd95_mm(p, t, spacing_mm=spacing),
        "surface_dice": surface_dice(p, t, spacing_mm=spacing),
        "n_lesions": lesions.n,
        "n_lesions_found": lesions.found,
        "n_false_lesions": lesions.false,
        "volume_ml": _volume_ml(truth),
        "volume_error_ml": _volume_ml(predicted) - _volume_ml(truth),
        "both_empty": not p.any() and not t.any(),
    }


def _require_grid(predicted: Volume, truth: Volume, case: Case) -> None:
    if not same_grid(predicted, truth):
        raise InputError(
            f"the prediction's grid {predicted.shape} is not the true mask's {truth.shape}, or it "
            "lies elsewhere",
            where=case.case_id,
            remedy="Resample the prediction onto the patient's own scan.",
        )


def _volume_ml(mask: Volume) -> float:
    return float(np.count_nonzero(mask.data > 0)) * mask.voxel_volume_ml
