"""Initial transforms of a registration: centres of mass, sizes, a search over rotations.

`plgg.preprocess.registration.engines` refines them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from plgg.core.errors import InputError
from plgg.core.volume import Affine, Volume, apply_affine
from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.preprocess.brain_extraction import brain_mask
from plgg.preprocess.grid import Grid
from plgg.preprocess.registration.frame import AtlasView, Frame, carried

METHOD = "brain-centre"


@dataclass(frozen=True, eq=False)
class AtlasPosition:
    """A native scan's brain and its transform to the atlas.

    Attributes:
        brain: Mask on the native grid, not empty.
        native_to_atlas: 4×4 matrix from native world to atlas world, mm.
        method: How it was found.
        turn: 4×4 rotation of the header's world that corrects a wrong orientation; the identity
            where the header is right.
    """

    brain: NDArray[np.bool_]
    native_to_atlas: Affine
    method: str
    turn: Affine = field(default_factory=lambda: np.eye(4))


def centred(flair: Volume, grid: Grid) -> AtlasPosition:
    """Place a stripped scan by the centre of its brain.

    Raises:
        InputError: If the scan is zero everywhere.
    """
    brain = brain_mask(flair.data)
    if not brain.any():
        raise InputError("the scan is zero everywhere", remedy="Export it again.")
    return AtlasPosition(brain, centre_on_atlas(brain, flair.affine, grid), METHOD)


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


_BINS = 32
_TAILS = (1.0, 99.0)


def mutual_information(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Studholme's (H(a) + H(b)) / H(a, b): 1 for independent images, 2 for equal ones.

    Args:
        a: Values at some voxels, of any shape.
        b: Values at the same voxels.

    Returns:
        From a joint histogram of 32 × 32 bins between the 1st and the 99th percentile of each; 1
        where there are too few voxels or one is constant.
    """
    if a.size < _BINS:
        return 1.0
    counts = np.bincount(_binned(a) * _BINS + _binned(b), minlength=_BINS**2)
    joint = counts.reshape(_BINS, _BINS) / counts.sum()
    both = _entropy(joint)
    if both == 0.0:
        return 1.0
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / both


def _binned(values: NDArray[Any]) -> NDArray[np.int64]:
    flat = values.ravel()
    low, high = np.percentile(flat, _TAILS)
    width = max(float(high - low), 1e-12)
    bins = (flat - low) * (_BINS / width)
    return np.asarray(np.clip(bins, 0, _BINS - 1), dtype=np.int64)


def _entropy(shares: NDArray[np.float64]) -> float:
    held = shares[shares > 0]
    return float(-np.sum(held * np.log(held)))


Start = Callable[[Frame, AtlasView], Affine]
_STRIDE = 3
_TILTS = (-30.0, 0.0, 30.0)
# Limits of the scale: brains differ less, and headers without a true spacing rarely more.
_SCALES = (0.75, 1.35)


def by_centre(moving: Frame, atlas: AtlasView) -> Affine:
    """Centre of mass onto centre of mass, without scaling."""
    return _about(moving, atlas, np.eye(3))


def by_mass(moving: Frame, atlas: AtlasView) -> Affine:
    """Centre of mass onto centre of mass, scaled to the atlas brain's volume."""
    return _about(moving, atlas, np.eye(3) * _scale(moving, atlas))


def by_search(moving: Frame, atlas: AtlasView) -> Affine:
    """As `by_mass`, with the best of 27 rotations (0° or ±30° about each axis) by similarity."""
    return _searched(moving, atlas, _scale(moving, atlas))


def by_tilt(moving: Frame, atlas: AtlasView) -> Affine:
    """As `by_search`, without scaling."""
    return _searched(moving, atlas, 1.0)


def _searched(moving: Frame, atlas: AtlasView, scale: float) -> Affine:
    best, most = np.eye(4), -np.inf
    for angles in product(_TILTS, repeat=3):
        start = _about(moving, atlas, scale * _rotation(angles))
        shown = _similarity(moving, atlas, start)
        if shown > most:
            best, most = start, shown
    return best


def as_it_lies(moving: Frame, atlas: AtlasView) -> Affine:  # noqa: ARG001 - a start takes both
    """The scan's world is the atlas' world already."""
    return np.eye(4)


STARTS: dict[str, Start] = {
    "identity": as_it_lies,
    "mass": by_mass,
    "centre": by_centre,
    "search": by_search,
    "tilted": by_tilt,
}


def _scale(moving: Frame, atlas: AtlasView) -> float:
    ratio = (moving.brain_ml / atlas.frame.brain_ml) ** (1.0 / 3.0)
    return float(np.clip(ratio, *_SCALES))


def _about(moving: Frame, atlas: AtlasView, linear: NDArray[np.float64]) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = moving.centre_mm - linear @ atlas.frame.centre_mm
    return matrix


def _rotation(degrees: tuple[float, ...]) -> NDArray[np.float64]:
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return np.asarray(matrix, dtype=np.float64)


def _similarity(moving: Frame, atlas: AtlasView, start: Affine) -> float:
    """Mutual information of the start on a coarse grid, over both brains."""
    stride = np.diag([_STRIDE, _STRIDE, _STRIDE, 1.0])
    part = (slice(None, None, _STRIDE),) * 3
    image, brain = atlas.frame.image.data[part], atlas.frame.brain[part]
    i, j, k = brain.shape
    grid = atlas.grid.affine @ stride
    scan = carried(moving.image.data, moving.image.affine, start @ grid, (i, j, k))
    either = brain | (carried(moving.brain, moving.image.affine, start @ grid, (i, j, k)) >= 0.5)
    return mutual_information(scan[either], image[either])
