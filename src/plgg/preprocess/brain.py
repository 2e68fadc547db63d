"""The brain of a skull-stripped scan, its box, and the z-score over it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.check.raw_head import background_value
from plgg.holes import filled

Box = tuple[slice, slice, slice]


def brain_mask(flair: NDArray[Any]) -> NDArray[np.bool_]:
    """Voxels that are not background, with their holes filled: dark CSF may be stored as 0."""
    return filled(flair != background_value(flair))


def bounding_box(mask: NDArray[np.bool_], *, margin: int = 0) -> Box:
    """Smallest box that holds all true voxels, widened by a margin within the array.

    Args:
        mask: Boolean array of shape (I, J, K) with at least one true voxel.
        margin: Voxels added on each side.
    """
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        low, high = max(int(hits[0]) - margin, 0), int(hits[-1]) + 1 + margin
        slices.append(slice(low, min(high, mask.shape[axis])))
    return slices[0], slices[1], slices[2]


def z_score(image: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Subtract the brain's mean and divide by its standard deviation; 0 outside the brain."""
    inside = image[brain]
    spread = float(inside.std(dtype=np.float64)) or 1.0
    scaled = (image - float(inside.mean(dtype=np.float64))) / spread
    return np.where(brain, scaled, 0.0).astype(np.float32)
