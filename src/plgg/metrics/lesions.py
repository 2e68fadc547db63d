"""Lesions found, missed and invented: connected parts of a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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

    Smaller specks are neither lesions nor false ones. If all parts of a truth are specks, they
    count: a tumour that small is still to be found. A tenth, not one voxel, so that a part that
    merely brushes a lesion has not found it. The rule is our own: the literature has no single one.

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
