"""Placing a stripped brain on the atlas grid by its centre: a translation.

This is where registration will go: anything that returns a 4×4 matrix from native to atlas world
fits. Knows nothing of intensities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plgg.io.sri24 import BRAIN_CENTRE_MM
from plgg.preprocess.grid import Grid
from plgg.volume import Affine, apply_affine

METHOD = "brain-centre"


def centre_on_atlas(brain: NDArray[np.bool_], affine: Affine, grid: Grid) -> Affine:
    """Translation that puts the brain's centre of mass on the atlas brain's.

    Where the brain would then leave the grid, it is moved back in as far as it fits.

    Args:
        brain: Brain mask on the native grid, not empty.
        affine: Native voxel → native world, mm.
        grid: The atlas grid.

    Returns:
        4×4 matrix from native world to atlas world.
    """
    points = apply_affine(affine, np.argwhere(brain))
    shift = BRAIN_CENTRE_MM - points.mean(axis=0)
    corners = apply_affine(grid.affine, np.array([(0, 0, 0), np.array(grid.shape) - 1]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    below = low - (points.min(axis=0) + shift)
    above = (points.max(axis=0) + shift) - high
    shift += np.where(below > 0, np.minimum(below, np.maximum(-above, 0)), 0)
    shift -= np.where(above > 0, np.minimum(above, np.maximum(-below, 0)), 0)
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return matrix
