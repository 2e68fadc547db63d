"""The clinical-only baseline: predict the marker from age, sex, tumour position and volume.

A network that does no better uses nothing of the image but the tumour's position and volume.
`plgg.predict.calibrate.clinical` fits the model; this module computes its inputs and applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from plgg.core.patient import male
from plgg.core.volume import Affine, apply_affine
from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.data.calibration import ClinicalModel

Inputs = NDArray[np.float64]
CLINICAL_INPUTS = ("age_years", "male", "from_midline", "front", "up", "log_volume")


def clinical_inputs(
    mask_box: NDArray[Any], box_affine: Affine, *, age_years: float | None, sex: str | None
) -> Inputs:
    """The inputs in the order of `CLINICAL_INPUTS`, float64, shape (6,); NaN where unknown.

    The tumour's centre of mass is given in mm from the centre of the atlas' brain: how far from the
    midline, to the front, and up. Left and right are not told apart: markers favour the midline or
    the hemispheres, not a side, and the network is trained on mirror images as well. The volume is
    that in the atlas, so that small heads and large ones compare; its logarithm is taken, since
    volumes span three decades.

    Args:
        mask_box: Tumour in the brain box; where it is empty, place and volume are unknown.
        box_affine: From voxels of the box to the atlas' world in mm.
        age_years: At the scan.
        sex: Any word for it that begins with m or f.
    """
    age = np.nan if age_years is None else age_years
    return np.array([age, male(sex), *_place_and_size(mask_box > 0, box_affine)])


def inputs_without_mask(*, age_years: float | None, sex: str | None) -> Inputs:
    """The inputs without a mask: age and sex are known at most."""
    return clinical_inputs(np.zeros((1, 1, 1)), np.eye(4), age_years=age_years, sex=sex)


def _place_and_size(mask: NDArray[np.bool_], affine: Affine) -> tuple[float, float, float, float]:
    voxels = np.argwhere(mask)
    if not len(voxels):
        return np.nan, np.nan, np.nan, np.nan
    right, front, up = apply_affine(affine, voxels.mean(axis=0)) - BRAIN_CENTRE_MM
    volume_ml = len(voxels) * abs(np.linalg.det(affine[:3, :3])) / 1000.0
    return abs(float(right)), float(front), float(up), float(np.log(volume_ml))


def standardise(means: Inputs, scales: Inputs, inputs: Inputs) -> Inputs:
    """Standardise inputs by means and scales; unknown ones become 0, which is the mean.

    Args:
        means: Shape (inputs,).
        scales: Shape (inputs,), none of them 0.
        inputs: Shape (..., inputs), NaN where unknown.
    """
    return np.asarray(np.nan_to_num((inputs - means) / scales), dtype=np.float64)


def select_clinical_inputs(features: Mapping[str, float]) -> Inputs:
    """Select the clinical inputs from named features; NaN where one is missing."""
    return np.array([features.get(name, np.nan) for name in CLINICAL_INPUTS])


def clinical_probabilities(model: ClinicalModel, inputs: Inputs) -> dict[str, float]:
    """Probability of each class, in the model's order.

    Args:
        model: The regression.
        inputs: As `clinical_inputs` gives them; unknown ones are set to the training mean.
    """
    x = standardise(np.array(model.means), np.array(model.scales), inputs)
    chances = softmax(np.array(model.coefficients) @ x + np.array(model.intercepts))
    return dict(zip(model.classes, map(float, chances), strict=True))
