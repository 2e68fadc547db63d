"""Resampling between grids through one affine map of voxel indices.

SimpleITK resamples images of unit geometry, so that any invertible affine is accepted, also one
with shear.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from plgg.core.volume import Affine


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
