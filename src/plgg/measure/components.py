"""Connected components of a mask: number, volume and centre; removal of small components.

Voxels that share a face, an edge or a corner are connected.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.volume import Volume, apply_affine
from plgg.data.result import Component, Point

Mask = NDArray[np.bool_]
_TOUCHING = np.ones((3, 3, 3), dtype=np.uint8)
# Tolerance, so that rounding does not remove a component of exactly the limit.
_ROUNDED = 1 - 1e-9


def remove_small_components(mask: Mask, *, voxel_volume_ml: float, smallest_ml: float) -> Mask:
    """The mask without its parts below `smallest_ml`; if all are below, the largest part stays.

    A tumour is never removed completely: small ones exist, and only the network may find none.
    Of several largest parts, the first in index order stays.

    Args:
        mask: Boolean, shape (I, J, K).
        voxel_volume_ml: Volume of one voxel in mL.
        smallest_ml: Limit in mL; 0 changes nothing.
    """
    if smallest_ml <= 0 or not mask.any():
        return mask
    box = bounding_slices(mask)
    labels, sizes = label_components(mask[box])
    keep = sizes * voxel_volume_ml >= smallest_ml * _ROUNDED
    if not keep.any():
        keep[np.argmax(sizes)] = True
    kept = np.zeros_like(mask)
    kept[box] = np.concatenate(([False], keep))[labels]
    return kept


def largest_part(mask: Mask) -> Mask:
    """The largest connected part alone; an empty mask stays empty."""
    return remove_small_components(mask, voxel_volume_ml=1.0, smallest_ml=np.inf)


def components(mask: Volume) -> tuple[Component, ...]:
    """The connected parts, largest first; none of an empty mask.

    Args:
        mask: Tumour wherever it is greater than 0.
    """
    tumour = mask.data > 0
    if not tumour.any():
        return ()
    box = bounding_slices(tumour)
    labels, sizes = label_components(tumour[box])
    centres = _centres(labels, sizes) + [side.start for side in box]
    places = apply_affine(mask.affine, centres)
    return tuple(
        Component(
            volume_ml=round(float(sizes[part]) * mask.voxel_volume_ml, 6),
            centre_mm=as_point(places[part]),
        )
        for part in np.argsort(-sizes, kind="stable")
    )


def bounding_slices(mask: Mask) -> tuple[slice, slice, slice]:
    """Bounding box of a mask, which must not be empty."""
    i, j, k = ndimage.find_objects(mask.view(np.uint8), max_label=1)[0]
    return i, j, k


def as_point(place: NDArray[np.float64]) -> Point:
    """A place in mm, shape (3,), rounded to a thousandth, for a record."""
    x, y, z = (round(float(value), 3) for value in place)
    return x, y, z


def label_components(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Label the connected components from 1, and count the voxels of each."""
    labels, n = ndimage.label(mask, structure=_TOUCHING)
    return labels, np.bincount(labels.ravel(), minlength=n + 1)[1:]


def _centres(labels: NDArray[np.int32], sizes: NDArray[np.int64]) -> NDArray[Any]:
    """Mean voxel index of each part, shape (parts, 3)."""
    voxels = np.argwhere(labels)
    owner = labels[labels > 0]
    sums = [np.bincount(owner, weights=along)[1:] for along in voxels.T]
    return np.stack(sums, axis=1) / sizes[:, None]
