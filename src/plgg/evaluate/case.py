"""Score one case: mask and class against the truth, and the side and region of the tumour.

Side and region are known only for scans of a store that were registered to the atlas.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.masks import mask_labels
from plgg.core.volume import Volume, apply_affine, corner_distance_mm
from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.data.check.mask import (
    impossible_size,
    reorient_closest,
    reorient_to_grid,
    same_orientation,
)
from plgg.data.check.usable import usable_mask
from plgg.data.labels import required_values, true_regions
from plgg.data.manifest import Case
from plgg.data.nifti.image import read_volume
from plgg.data.scan import Scan
from plgg.data.store import read_record
from plgg.evaluate.labels import reported_labels, score_labels
from plgg.evaluate.predictions import (
    Prediction,
    ReportedResult,
    contradictions,
    read_reported,
)
from plgg.evaluate.records import CaseScores, Region, Side
from plgg.evaluate.tasks import ScorerOf, no_scorer, score_tasks
from plgg.metrics.further import score_registered
from plgg.metrics.overlap import count_lesions, hard_dice, soft_dice, volume_ml
from plgg.metrics.surface import surface_scores

_MIDLINE_MM = 10.0


@dataclass(frozen=True)
class Place:
    """Side and region of a tumour's centre."""

    side: Side
    region: Region


def tumour_location(case: Case, truth: Volume) -> Place | None:
    """Side and region of the true tumour's centre of mass.

    Returns:
        None where the mask is empty or in no store, or where its scan was only centred on the
        atlas, without a registration.

    Raises:
        StoreError: If the store's record of the case cannot be read.
    """
    path = case.mask
    if path is None or not path.with_name("case.json").is_file() or not (truth.data > 0).any():
        return None
    record = read_record(path.parents[2], path.parent.name)
    if record.settings.registration == "centre":
        return None
    centre = apply_affine(truth.affine, np.argwhere(truth.data > 0).mean(axis=0))
    return locate_point(apply_affine(np.array(record.placement.native_to_atlas), centre))


def locate_point(point_mm: NDArray[np.float64]) -> Place:
    """Side and region of a point in the atlas' world.

    Within 10 mm of the midline is neither side. The tentorium is taken as the surface
    z = -20 - 0.5 |x| - 0.3 y - 0.008 y² in mm from the brain's centre, fitted to SRI24's own
    supratentorial mask, of which it gets 98.6 % of the brain's voxels right.

    Args:
        point_mm: RAS+ coordinates, shape (3,).
    """
    x, y, z = (float(value) for value in point_mm - BRAIN_CENTRE_MM)
    tentorium = -20.0 - 0.5 * abs(x) - 0.3 * y - 0.008 * y * y
    side: Side = "midline" if abs(x) <= _MIDLINE_MM else "right" if x > 0 else "left"
    return Place(side, "supratentorial" if z >= tentorium else "infratentorial")


@dataclass(frozen=True)
class ScoredCase:
    """The scores of a case, and the warnings of the checks of its true and predicted mask."""

    scores: CaseScores
    warnings: tuple[str, ...] = ()


def score_case(case: Case, prediction: Prediction, scorer_of: ScorerOf = no_scorer) -> ScoredCase:
    """Score one case; scores without a true value are None.

    Args:
        case: The case with its true mask, which goes through the data check.
        prediction: The files of the prediction.
        scorer_of: Gives the scorer of a kind of task.

    Raises:
        InputError: If a file cannot be read or is no mask, or the grids of prediction and truth
            do not match.
    """
    if prediction.other_mask is not None:
        raise InputError(
            f"has two predictions: {prediction.mask.name} and {prediction.other_mask.name}",
            where=case.case_id,
            remedy="Keep the one that is meant.",
        )
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
    said = None if prediction.result is None else read_reported(prediction.result)
    labels, truths = reported_labels(said), dict[str, Volume]()
    if said is not None:
        warnings = (*contradictions(said, prediction, case.case_id), *warnings)
        scores |= _reported_scores(said) | {"tasks": score_tasks(case, said.tasks, scorer_of)}
    if case.mask is not None:
        true = usable_mask(
            case.mask, None, () if case.stored_labels else required_values(case, labels)
        )
        _refuse_guess(true, predicted, case.mask)
        truth, warnings = true.volume, (*true.doubts, *warnings)
        truths = true_regions(case, labels, truth) if labels else {}
        truth = truths[labels[0].name] if labels and labels[0].name in truths else truth
        scores |= _segmentation(predicted, truth) | _place(case, truth)
        if prediction.probability is not None:
            scores["soft_dice"] = _soft_dice(prediction.probability, truth)
    regions = score_labels(prediction, labels, truths)
    scores["tasks"] = {**scores.get("tasks", {}), **regions}
    return ScoredCase(CaseScores.model_validate(scores), warnings)


def _reported_scores(said: ReportedResult) -> dict[str, Any]:
    """The scores from `result.json`: marker probabilities and volume interval."""
    scores: dict[str, Any] = {}
    if said.marker is not None:
        scores |= {
            "predicted_marker": said.marker.predicted,
            "probabilities": said.marker.probabilities,
            "withheld": said.marker.withheld,
            "clinical": said.marker.clinical_only or {},
            "network": said.marker.network or {},
            "radiomics": said.marker.radiomics or {},
        }
    if said.volume_interval is not None:
        scores |= {
            "volume_low_ml": said.volume_interval.low_ml,
            "volume_high_ml": said.volume_interval.high_ml,
            "volume_interval_level": said.volume_interval.level,
        }
    return scores


def _place(case: Case, truth: Volume) -> dict[str, Any]:
    place = tumour_location(case, truth)
    return {} if place is None else {"side": place.side, "region": place.region}


def _segmentation(native: Volume, truth: Volume) -> dict[str, Any]:
    predicted = _permute_to_truth(native, truth)
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
        "metrics": score_registered(p, t, truth.spacing_mm),
    }


def _soft_dice(path: Path, truth: Volume) -> float:
    probability = read_volume(path)
    if not np.isfinite(probability.data).all():
        raise InputError("holds NaN or infinity", where=path, remedy="Predict this case again.")
    return soft_dice(_permute_to_truth(probability, truth).data, truth.data > 0)


def _predicted_mask(path: Path) -> Volume:
    """Read a mask, with any labels above 0 as tumour; refuse a map of probabilities.

    Bad predictions are scored, too, but a mask without a voxel of 0 has no known background.
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


def _permute_to_truth(predicted: Volume, truth: Volume) -> Volume:
    """The prediction in the axis order of the true mask; raises where the grids do not match."""
    turned = reorient_to_grid(predicted, truth)
    if turned is None:
        raise _grid_mismatch(predicted, truth)
    return turned


def _grid_mismatch(predicted: Volume, truth: Volume) -> InputError:
    """The error of a prediction whose grid does not match that of the true mask."""
    turned = reorient_closest(predicted, truth)
    if turned.shape != truth.shape:
        shapes = ["×".join(map(str, one.shape)) for one in (turned, truth)]
        what = f"the prediction has shape {shapes[0]}, the true mask {shapes[1]}"
    else:
        gap = corner_distance_mm(turned, truth)
        what = f"the prediction lies up to {gap:.1f} mm away from the true mask"
    return InputError(
        what,
        remedy="Look at both over the FLAIR, and resample the one that does not lie on its voxels: "
        "plgg check tells whether the true mask does.",
    )


def _refuse_guess(true: Scan, predicted: Volume, path: Path) -> None:
    """Refuse a true mask without an affine in its header, if its axes would have to be permuted."""
    if not true.says_how and not same_orientation(true.volume, predicted):
        raise InputError(
            "the true mask's header does not say how its axes run: turning it would be a guess",
            where=path,
            remedy="If its voxels are its FLAIR's, copy the FLAIR's affine into its header; "
            "otherwise export it again.",
        )


def _volume_ml(mask: Volume) -> float:
    return volume_ml(mask.data > 0, voxel_volume_ml=mask.voxel_volume_ml)
