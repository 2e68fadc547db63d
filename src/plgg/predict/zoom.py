"""Resize an image for test-time augmentation, and predictions back to its size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from plgg.predict.memory import Shape


def zoomed_shape(shape: Shape, zoom: float, *, in_plane: bool) -> Shape:
    """Shape of an image after a zoom.

    Args:
        shape: Of the image before.
        zoom: Factor on each side, over 1 for a larger image.
        in_plane: Whether the number of slices stays.

    >>> zoomed_shape((112, 90, 24), 1.25, in_plane=True)
    (140, 112, 24)
    """
    i, j, k = (max(1, round(n * zoom)) for n in shape)
    return (i, j, shape[2]) if in_plane else (i, j, k)


def zoomed(
    image: NDArray[np.float32], inside: NDArray[np.bool_], shape: Shape
) -> NDArray[np.float32]:
    """Resize an image linearly; at the brain's edge only brain voxels are interpolated.

    Args:
        image: z-scores, 0 outside the brain, shape (C, I, J, K).
        inside: The brain, same shape.
        shape: Voxels of the result, which covers the same box.

    Returns:
        Shape (C, *shape); 0 where less than half of a voxel is brain.
    """
    share = resized(inside.astype(np.float32), shape)
    values = resized(np.where(inside, image, np.float32(0)), shape)
    return np.where(share > 0.5, values / np.maximum(share, np.float32(0.5)), np.float32(0))


def resized(values: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    """Resize an array linearly between centres of voxels; beyond the outermost ones it is constant.

    Args:
        values: Shape (C, I, J, K).
        shape: Voxels of the result, which covers the same box.

    Returns:
        Shape (C, *shape).
    """
    if values.shape[1:] == shape:
        return values
    tensor = torch.from_numpy(np.ascontiguousarray(values))[None]
    found = functional.interpolate(tensor, size=shape, mode="trilinear", align_corners=False)
    return found[0].numpy()
