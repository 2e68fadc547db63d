"""Distances between the surfaces of two masks, in millimetres on any grid.

A mask's surface is the set of its voxels that touch the outside by a face; distances run between
voxel centres. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Spacing = Sequence[float] | NDArray[Any]


def hd95_mm(prediction: Mask, truth: Mask, *, spacing_mm: Spacing) -> float | None:
    """95th percentile of the symmetric Hausdorff distance, in mm.

    The larger of the two directed 95th percentiles, as in the BraTS challenges. Two empty masks
    have distance 0; where only one is empty there is no distance: None.
    """
    distances = _both_ways(prediction, truth, spacing_mm)
    if distances is None:
        return None if prediction.any() or truth.any() else 0.0
    return float(max(np.percentile(d, 95) for d in distances))


def surface_dice(
    prediction: Mask, truth: Mask, *, spacing_mm: Spacing, tolerance_mm: float = 2.0
) -> float:
    """Share of both surfaces that lies within a tolerance of the other (Nikolov et al. 2021).

    Two empty masks agree: 1; where only one is empty: 0.
    """
    distances = _both_ways(prediction, truth, spacing_mm)
    if distances is None:
        return 0.0 if prediction.any() or truth.any() else 1.0
    near = sum(int(np.count_nonzero(d <= tolerance_mm)) for d in distances)
    return near / sum(len(d) for d in distances)


def _both_ways(
    prediction: Mask, truth: Mask, spacing_mm: Spacing
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Distances of each surface's voxels to the other surface; None where a mask is empty."""
    if not prediction.any() or not truth.any():
        return None
    box = ndimage.find_objects((prediction | truth).astype(np.uint8))[0]
    # One voxel around, so that a mask at the border of the box has its surface there.
    p, t = (_surface(np.pad(mask[box], 1)) for mask in (prediction, truth))
    spacing = [float(value) for value in spacing_mm]
    to_truth = ndimage.distance_transform_edt(~t, sampling=spacing)
    to_prediction = ndimage.distance_transform_edt(~p, sampling=spacing)
    return to_truth[p], to_prediction[t]


def _surface(mask: Mask) -> Mask:
    return mask & ~np.asarray(ndimage.binary_erosion(mask), dtype=np.bool_)
