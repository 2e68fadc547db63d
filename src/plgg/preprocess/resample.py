"""Resampling between grids through one affine map of voxel indices.

SimpleITK does the work, on images of unit geometry, so that any invertible affine will do, sheared
ones too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.volume import Affine

_FWHM = np.sqrt(8.0 * np.log(2.0))


def resample(
    data: NDArray[Any], source_from_target: Affine, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Linear interpolation of an array at the voxel centres of another grid; 0 outside.

    Args:
        data: Array of shape (I, J, K).
        source_from_target: 4×4 matrix from target voxel indices to indices of `data`.
        shape: Shape of the target.

    Returns:
        Array of that shape, float32.
    """
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T, dtype=np.float32))
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(source_from_target[:3, :3].ravel().tolist())
    transform.SetTranslation(source_from_target[:3, 3].tolist())
    like = sitk.Image([int(n) for n in shape], sitk.sitkFloat32)
    out = sitk.Resample(image, like, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return np.ascontiguousarray(sitk.GetArrayFromImage(out).T)


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
