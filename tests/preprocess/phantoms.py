"""Grids that are harder than those of `helper`, and what tests of geometry measure on them."""

import numpy as np

from helper import ODD_AFFINES, SHAPE, make_affine
from plgg.core.volume import apply_affine
from plgg.preprocess.grid import sri24_grid

# Coarse, so that a case takes hundredths of a second; the laws hold at any spacing.
GRID = sri24_grid(4.0)


def _wide(spacing_mm, *, shear=None, **turned):
    """A grid of 176 mm along each axis, whatever its voxels."""
    shape = tuple(int(np.ceil(176.0 / step)) for step in spacing_mm)
    affine = make_affine(spacing_mm, shape=shape, **turned)
    return shape, affine if shear is None else shear @ affine


_SHEAR = np.array([[1.0, 0.3, 0, 0], [0, 1, 0, 0], [0.1, 0, 1, 0], [0, 0, 0, 1]])

# Name -> shape and affine; every grid holds the whole of `helper.blob_brain`.
GRIDS = {name: (SHAPE, affine) for name, affine in ODD_AFFINES.items()} | {
    "thick-slices": _wide((0.9, 0.9, 6.0), axes="LPS"),
    "thin-sagittal": _wide((2.5, 0.9, 1.1), axes="PSR"),
    "thick-oblique": _wide((1.2, 1.2, 5.0), turn_degrees=(15.0, -10.0, 8.0)),
    "sheared": _wide((3.0, 3.0, 4.0), shear=_SHEAR),
}


def centre_mm(weights, affine):
    """Centre of mass in the world of `affine`, mm."""
    where = np.argwhere(weights)
    return np.average(apply_affine(affine, where), axis=0, weights=weights[tuple(where.T)])
