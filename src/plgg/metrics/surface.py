"""Distances between the surfaces of two masks, in millimetres on any grid.

A mask's surface is the set of its voxels that touch the outside by a face; distances run between
voxel centres, and every surface voxel counts alike. The nearest voxel is looked up in a k-d tree:
the same distances as by a distance transform, but without filling the space between a tumour and
a false speck far away, which takes several times longer. Voxel axes are taken as perpendicular, as
those of scans are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

Mask = NDArray[np.bool_]
Spacing = Sequence[float] | NDArray[Any]
_ROUNDING_MM = 1e-6


@dataclass(frozen=True)
class SurfaceScores:
    """How far two surfaces are from each other.

    Attributes:
        hd95_mm: 95th percentile of the symmetric Hausdorff distance, in mm; 0 for two empty masks,
            None where only one is empty: there is no distance.
        surface_dice: Share of both surfaces within the tolerance, in [0, 1]; 1 for two empty
            masks, 0 where only one is empty.
    """

    hd95_mm: float | None
    surface_dice: float


def surface_scores(
    prediction: Mask, truth: Mask, *, spacing_mm: Spacing, tolerance_mm: float = 2.0
) -> SurfaceScores:
    """Compute both scores of a pair of masks from the same distances.

    Args:
        prediction: Boolean mask of shape (I, J, K).
        truth: Boolean mask of the same shape.
        spacing_mm: Distance between voxel centres along each axis.
        tolerance_mm: Distance up to which two surfaces agree.
    """
    empty = (not prediction.any(), not truth.any())
    if all(empty):
        return SurfaceScores(0.0, 1.0)
    if any(empty):
        return SurfaceScores(None, 0.0)
    both_ways = _distances_mm(prediction, truth, spacing_mm)
    near = sum(int(np.count_nonzero(d <= tolerance_mm + _ROUNDING_MM)) for d in both_ways)
    return SurfaceScores(
        hd95_mm=float(max(np.percentile(d, 95) for d in both_ways)),
        surface_dice=near / sum(len(d) for d in both_ways),
    )


def hd95_mm(prediction: Mask, truth: Mask, *, spacing_mm: Spacing) -> float | None:
    """95th percentile of the symmetric Hausdorff distance, in mm.

    The larger of the two directed 95th percentiles (Menze et al. 2015, the BraTS challenge). Two
    empty masks have distance 0; where only one is empty there is no distance: None.
    """
    return surface_scores(prediction, truth, spacing_mm=spacing_mm).hd95_mm


def surface_dice(
    prediction: Mask, truth: Mask, *, spacing_mm: Spacing, tolerance_mm: float = 2.0
) -> float:
    """Share of both surfaces that lies within a tolerance of the other (Nikolov et al. 2021).

    Two empty masks agree: 1; where only one is empty: 0.
    """
    return surface_scores(
        prediction, truth, spacing_mm=spacing_mm, tolerance_mm=tolerance_mm
    ).surface_dice


def _distances_mm(
    prediction: Mask, truth: Mask, spacing_mm: Spacing
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From each surface voxel of either mask to the nearest of the other."""
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    p, t = (_surface_indices(mask) * spacing for mask in (prediction, truth))
    return _to_nearest(p, t), _to_nearest(t, p)


def _to_nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    distances, _ = KDTree(others).query(points)
    return np.asarray(distances, dtype=np.float64)


def _surface_indices(mask: Mask) -> NDArray[np.int64]:
    """Indices of the surface's voxels, shape (n, 3)."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    part = mask[box]
    # The erosion takes what is beyond the box as outside, so a mask at its border ends there.
    surface = part & ~np.asarray(ndimage.binary_erosion(part), dtype=np.bool_)
    return np.asarray(np.argwhere(surface) + [side.start for side in box], dtype=np.int64)
