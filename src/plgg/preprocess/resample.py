"""Resampling between grids (`plgg.core.resample`), and the low-pass that goes before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.resample import resample

__all__ = ["resample", "smooth_for"]

_FWHM = np.sqrt(8.0 * np.log(2.0))


def smooth_for(
    data: NDArray[Any], *, spacing_mm: NDArray[np.float64], target_mm: float | NDArray[np.float64]
) -> NDArray[np.float32]:
    """Low-pass an array along the axes that are finer than the grid it goes to.

    `target_mm` is that grid's voxel size, or its step along each axis of the array.

    A Gaussian widens the voxel's response from FWHM `spacing_mm` to `target_mm`, so that nothing
    aliases: σ² = (target² - spacing²) / (8 ln 2). Beyond the array its outermost voxels go on, so
    an array cropped to a brain and a voxel of background is smoothed as the whole would be.
    """
    sigma_mm = np.sqrt(np.maximum(target_mm**2 - spacing_mm**2, 0.0)) / _FWHM
    sigma = sigma_mm / spacing_mm
    source = np.asarray(data, dtype=np.float32)
    if not np.any(sigma > 0.1):
        return source
    smooth = ndimage.gaussian_filter(source, sigma, mode="nearest", truncate=3.0)
    return np.asarray(smooth, dtype=np.float32)
