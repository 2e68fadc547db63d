"""The SRI24 grid at any isotropic spacing, and the isotropic working grid of a native scan.

Knows the atlas' field of view and where its brain lies, not what it looks like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.volume import Affine, Volume, apply_affine, index_map, spacing_mm
from plgg.data.atlas.grid import layout
from plgg.preprocess.resample import resample, smooth_for


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid: shape (I, J, K) and voxel → world affine in mm."""

    shape: tuple[int, int, int]
    affine: Affine


def sri24_grid(spacing_mm: float) -> Grid:
    """The SRI24 field of view at a spacing; the outer edges of the first voxels stay in place.

    At 1 mm this is the atlas' own grid, at 2 mm 120×120×78.
    """
    return Grid(*layout(spacing_mm))


def working_grid(volume: Volume, target_mm: float) -> Grid:
    """The smallest grid with axes R, A, S and isotropic voxels that holds a whole volume.

    Args:
        volume: Any image, however it lies.
        target_mm: Voxel size in mm.
    """
    ends = [(-0.5, n - 0.5) for n in volume.shape]
    corners = apply_affine(volume.affine, np.array(np.meshgrid(*ends)).reshape(3, -1).T)
    low, high = corners.min(axis=0), corners.max(axis=0)
    i, j, k = (max(1, int(np.ceil(n))) for n in (high - low) / target_mm)
    affine = np.diag([target_mm, target_mm, target_mm, 1.0])
    affine[:3, 3] = low + target_mm / 2.0
    return Grid((i, j, k), affine)


def working_image(volume: Volume, target_mm: float) -> Volume:
    """A scan (or a mask, as shares in [0, 1]) on its working grid, float32, low-passed to it."""
    grid = working_grid(volume, target_mm)
    return onto(volume, grid)


def onto(volume: Volume, grid: Grid) -> Volume:
    """A volume on any grid of its own world, float32, low-passed against aliasing; 0 outside."""
    target_mm = float(spacing_mm(grid.affine).min())
    smooth = smooth_for(volume.data, spacing_mm=volume.spacing_mm, target_mm=target_mm)
    there = index_map(volume.affine, grid.affine)
    return Volume(resample(smooth, there, grid.shape), grid.affine)


def back(data: NDArray[Any], grid: Grid, volume: Volume) -> NDArray[np.float32]:
    """An array of the working grid on the native voxels, by linear interpolation; 0 outside."""
    return resample(data, index_map(grid.affine, volume.affine), volume.shape)
