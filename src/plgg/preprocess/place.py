"""Where a brain lies on the atlas, and the simplest way to say so: by its centre, a translation.

`plgg.preprocess.registration` finds better ones. Knows nothing of intensities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.errors import InputError
from plgg.io.sri24 import BRAIN_CENTRE_MM
from plgg.preprocess.brain import brain_mask
from plgg.preprocess.grid import Grid
from plgg.volume import Affine, Volume, apply_affine

METHOD = "brain-centre"


@dataclass(frozen=True, eq=False)
class Placed:
    """A native scan's brain and its way to the atlas.

    Attributes:
        brain: On the native grid, not empty.
        native_to_atlas: 4×4 matrix from native world to atlas world, mm.
        method: How it was found.
    """

    brain: NDArray[np.bool_]
    native_to_atlas: Affine
    method: str


def centred(flair: Volume, grid: Grid) -> Placed:
    """Place a stripped scan by the centre of its brain.

    Raises:
        InputError: If the scan is zero everywhere.
    """
    brain = brain_mask(flair.data)
    if not brain.any():
        raise InputError("the scan is zero everywhere", remedy="Export it again.")
    return Placed(brain, centre_on_atlas(brain, flair.affine, grid), METHOD)


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
