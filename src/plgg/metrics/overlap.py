"""Overlap of prediction and truth: Dice, volume, and lesions detected or missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def hard_dice(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """2 |P ∩ T| / (|P| + |T|), in [0, 1]; two empty masks agree: 1 (Dice 1945).

    Args:
        prediction: Boolean mask.
        truth: Boolean mask of the same shape.
    """
    size = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    if not size:
        return 1.0
    return 2.0 * int(np.count_nonzero(prediction & truth)) / size


def soft_dice(probability: NDArray[Any], truth: NDArray[np.bool_]) -> float:
    """2 Σ p·t / (Σ p² + Σ t²): equation 2 of the method without its ε; 1 where both are 0.

    Args:
        probability: Probabilities in [0, 1].
        truth: Boolean mask of the same shape.
    """
    inside = probability[truth]
    squares = float(np.sum(np.square(probability, dtype=np.float64)))
    size = squares + float(np.count_nonzero(truth))
    if size == 0.0:
        return 1.0
    return 2.0 * float(np.sum(inside, dtype=np.float64)) / size


def volume_ml(mask: NDArray[np.bool_], *, voxel_volume_ml: float) -> float:
    """Volume of a mask in mL: its voxels times the volume of one."""
    return int(np.count_nonzero(mask)) * voxel_volume_ml


MIN_VOLUME_ML = 0.05
MIN_OVERLAP = 0.1
# So that a part of just 0.05 mL, or covered by just a tenth, counts in floating point too.
_ROUNDED = 1 - 1e-9
_TOUCHING = np.ones((3, 3, 3), dtype=np.uint8)


@dataclass(frozen=True)
class LesionCounts:
    """Lesions of the truth, those found, and parts of the prediction that are none.

    Attributes:
        n: Lesions of the truth.
        found: Those of which the prediction covers at least a tenth.
        false: Parts of the prediction of which the truth covers less than a tenth.
    """

    n: int
    found: int
    false: int


def count_lesions(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], *, voxel_volume_ml: float
) -> LesionCounts:
    """Count lesions: parts connected by faces, edges or corners, of at least 0.05 mL.

    Smaller parts are ignored, unless all parts of the truth are smaller. A lesion is found if a
    tenth of it is covered, not by one voxel, so that a part that merely touches a lesion has not
    found it. The rule is our own, because the literature has no standard one.

    Args:
        prediction: Boolean mask of shape (I, J, K).
        truth: Boolean mask of the same shape.
        voxel_volume_ml: Volume of one voxel in mL.
    """
    lesions, n = _parts(truth, MIN_VOLUME_ML / voxel_volume_ml)
    if not n and truth.any():
        lesions, n = _parts(truth, 1)
    spots, n_spots = _parts(prediction, MIN_VOLUME_ML / voxel_volume_ml)
    found = _covered(lesions, n, prediction)
    return LesionCounts(n, found, n_spots - _covered(spots, n_spots, truth))


def _parts(mask: NDArray[np.bool_], min_voxels: float) -> tuple[NDArray[np.int32], int]:
    """Connected parts of at least so many voxels, numbered from 1, and how many there are."""
    labels, n = ndimage.label(mask, structure=_TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    keep = np.flatnonzero(sizes[1:] >= min_voxels * _ROUNDED) + 1
    number = np.zeros(n + 1, dtype=np.int32)
    number[keep] = np.arange(1, len(keep) + 1)
    return number[labels], len(keep)


def _covered(labels: NDArray[np.int32], n: int, by: NDArray[np.bool_]) -> int:
    """How many of the parts are covered to at least a tenth."""
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    hits = np.bincount(labels[by].ravel(), minlength=n + 1)[1:]
    return int(np.count_nonzero(hits >= MIN_OVERLAP * np.maximum(sizes, 1) * _ROUNDED))
