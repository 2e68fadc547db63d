"""Where a registration starts: a 4×4 matrix from atlas world to native world, in mm.

Registration finds the nearest optimum, so the start decides. Names are what a case's record shows.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from plgg.preprocess.registration.aligned import carried
from plgg.preprocess.registration.frame import AtlasView, Frame
from plgg.preprocess.registration.information import mutual_information
from plgg.volume import Affine, Volume

Start = Callable[[Frame, AtlasView], Affine]
_STRIDE = 3
_TILTS = (-30.0, 0.0, 30.0)
# Brains differ less than this, and headers that know no spacing rarely by more.
_SCALES = (0.75, 1.35)


def by_centre(moving: Frame, atlas: AtlasView) -> Affine:
    """Centre of mass onto centre of mass, sizes as the headers say."""
    return _about(moving, atlas, np.eye(3))


def by_mass(moving: Frame, atlas: AtlasView) -> Affine:
    """Centre of mass onto centre of mass, scaled to the atlas brain's volume."""
    return _about(moving, atlas, np.eye(3) * _scale(moving, atlas))


def by_search(moving: Frame, atlas: AtlasView) -> Affine:
    """As by mass, from the best of 27 tilts of ±30° about the three axes, by mutual information."""
    return _searched(moving, atlas, _scale(moving, atlas))


def by_tilt(moving: Frame, atlas: AtlasView) -> Affine:
    """As by search, sizes as the headers say."""
    return _searched(moving, atlas, 1.0)


def _searched(moving: Frame, atlas: AtlasView, scale: float) -> Affine:
    best, most = np.eye(4), -np.inf
    for angles in product(_TILTS, repeat=3):
        start = _about(moving, atlas, scale * _rotation(angles))
        shown = _shown(moving, atlas, start)
        if shown > most:
            best, most = start, shown
    return best


def by_image_centre(moving: Frame, atlas: AtlasView) -> Affine:
    """Middle of the array onto middle of the array: blind, kept as the field's usual default."""
    matrix = np.eye(4)
    matrix[:3, 3] = _middle(moving.image) - _middle(atlas.frame.image)
    return matrix


def as_it_lies(moving: Frame, atlas: AtlasView) -> Affine:  # noqa: ARG001 - a start takes both
    """The scan's world is the atlas' world already."""
    return np.eye(4)


STARTS: dict[str, Start] = {
    "identity": as_it_lies,
    "mass": by_mass,
    "centre": by_centre,
    "search": by_search,
    "tilted": by_tilt,
    "image-centre": by_image_centre,
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


def _shown(moving: Frame, atlas: AtlasView, start: Affine) -> float:
    """Mutual information of the start on a coarse grid, over both brains."""
    stride = np.diag([_STRIDE, _STRIDE, _STRIDE, 1.0])
    part = (slice(None, None, _STRIDE),) * 3
    image, brain = atlas.frame.image.data[part], atlas.frame.brain[part]
    i, j, k = brain.shape
    grid = atlas.grid.affine @ stride
    scan = carried(moving.image.data, moving.image.affine, start @ grid, (i, j, k))
    either = brain | (carried(moving.brain, moving.image.affine, start @ grid, (i, j, k)) >= 0.5)
    return mutual_information(scan[either], image[either])


def _middle(volume: Volume) -> NDArray[np.float64]:
    half = (np.array(volume.shape) - 1) / 2.0
    return np.asarray(volume.affine[:3, :3] @ half + volume.affine[:3, 3], dtype=np.float64)
