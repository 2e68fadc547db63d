"""Closed contours around a mask, slice by slice, in the patient's millimetres.

A contour runs half-way between the centres of voxels inside and outside, so the voxels whose
centres are inside are exactly the mask. A hole is joined to its outer contour by a bridge of no
width (the keyhole of PS3.3 C.8.8.6.3), which every reader of CLOSED_PLANAR fills correctly.

    for slice_index, points in contours(mask):
        ...points of shape (N, 3), LPS...

contourpy traces the contours and distinguishes outer ones from holes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from scipy.spatial import KDTree

from plgg.core.volume import Volume, apply_affine

Points = NDArray[np.float64]
_TO_LPS = np.array([-1.0, -1.0, 1.0])


def contours(mask: Volume) -> Iterator[tuple[int, Points]]:
    """The contours of every slice along the last axis that is not empty.

    Args:
        mask: Boolean, with its affine in RAS+.

    Yields:
        The slice's index and the corners of one contour in patient coordinates (LPS, mm), shape
        (N, 3), each once and in order.
    """
    inside = np.asarray(mask.data) > 0
    for index in np.flatnonzero(inside.any(axis=(0, 1))):
        for outline in slice_contours(inside[:, :, index]):
            places = np.column_stack([outline, np.full(len(outline), float(index))])
            yield int(index), apply_affine(mask.affine, places) * _TO_LPS


def slice_contours(inside: NDArray[np.bool_]) -> list[Points]:
    """The contours of one slice in voxels, shape (N, 2) each; holes are joined to outer contours.

    Args:
        inside: Of shape (I, J).
    """
    padded = np.pad(inside, 1).astype(np.float64)
    generator = contour_generator(z=padded.T, fill_type=FillType.OuterOffset)
    found = []
    for points, offsets in zip(*generator.filled(0.5, 2.0), strict=True):
        # Each ring ends with its first corner; the padding moved all by one voxel.
        rings = [points[start : stop - 1] - 1.0 for start, stop in pairwise(offsets)]
        found.append(_joined(rings[0], rings[1:]))
    return found


def _joined(outer: Points, holes: list[Points]) -> Points:
    """A ring and its holes as one contour, nearest holes first, so that bridges cross nothing."""
    waiting = list(holes)
    while waiting:
        tree = KDTree(outer)
        nearest = [tree.query(hole) for hole in waiting]
        first = int(np.argmin([distances.min() for distances, _ in nearest]))
        distances, places = nearest[first]
        hole = waiting.pop(first)
        start = int(distances.argmin())
        at = int(places[start])
        around = np.concatenate([hole[start:], hole[: start + 1]])
        outer = np.concatenate([outer[: at + 1], around, outer[at:]])
    return outer
