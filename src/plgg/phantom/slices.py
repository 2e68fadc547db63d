"""Thick axial slices: the image averaged along z, on a grid with longer voxels.

The field of view is kept to its edges. Knows nothing of what the image shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plgg.volume import Affine


def thick_affine(affine: Affine, n_thin: int, n_thick: int) -> Affine:
    """The affine of `n_thick` slices over the extent of `n_thin` ones."""
    ratio = n_thin / n_thick
    step = np.diag([1.0, 1.0, ratio, 1.0])
    step[2, 3] = (ratio - 1.0) / 2.0
    return np.asarray(affine @ step, dtype=np.float64)


def n_thick_slices(n_thin: int, thickness: float) -> int:
    """Number of slices nearest to a thickness, in thin ones, that fill the same extent."""
    return max(round(n_thin / thickness), 1)


def thicken(
    flair: NDArray[np.int16], mask: NDArray[np.bool_], n_thick: int
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Average an image and its mask into fewer slices.

    A thick voxel is brain where half of it is; its value is the mean over its brain. The mask is
    the voxels that hold most tumour, as many as give the same volume.

    Args:
        flair: Shape (I, J, K), 0 outside the brain.
        mask: Same shape.
        n_thick: Number of slices wanted.

    Returns:
        Image and mask of shape (I, J, n_thick).
    """
    overlap = _overlap(flair.shape[2], n_thick)
    brain = (flair > 0).astype(np.float32) @ overlap
    signal = flair.astype(np.float32) @ overlap
    inside = brain >= 0.5
    image = np.zeros(inside.shape, dtype=np.int16)
    image[inside] = np.maximum(np.rint(signal[inside] / brain[inside]), 1)
    tumour = np.where(inside, mask.astype(np.float32) @ overlap, 0.0)
    return image, _largest(tumour, round(float(mask.sum()) * n_thick / flair.shape[2]))


def _overlap(n_thin: int, n_thick: int) -> NDArray[np.float32]:
    """Share of each thick slice that each thin one fills; shape (n_thin, n_thick)."""
    edges = np.arange(n_thick + 1) * n_thin / n_thick
    thin = np.arange(n_thin)[:, None]
    shared = np.minimum(thin + 1, edges[1:]) - np.maximum(thin, edges[:-1])
    return np.asarray(np.maximum(shared, 0.0) * n_thick / n_thin, dtype=np.float32)


def _largest(share: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """The `count` voxels of the largest share; ties go by position."""
    order = np.argsort(-share, axis=None, kind="stable")[:count]
    chosen = np.zeros(share.size, dtype=np.bool_)
    chosen[order] = True
    return chosen.reshape(share.shape) & (share > 0)
