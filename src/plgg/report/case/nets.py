"""`surface_net`: the surface of a field of numbers, as quadrilaterals.

Naive surface nets (Gibson 1998): one vertex in every cell that the surface crosses, at the mean of
the crossings of the cell's edges; one face for every grid edge that it crosses. The surface is
closed where the field's border lies outside. Knows nothing of millimetres.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vertices = NDArray[np.float64]
Faces = NDArray[np.intp]


class Net(NamedTuple):
    """Vertices in voxel coordinates, shape (n, 3), and faces of four of them, shape (m, 4).

    Seen from outside, a face's corners run counter-clockwise.
    """

    vertices: Vertices
    faces: Faces


def surface_net(field: NDArray[Any], level: float) -> Net:
    """Where a field passes a level.

    Args:
        field: Shape (I, J, K), each at least 2; above the level is inside.
        level: Of the surface.
    """
    inside = field > level
    corners = _corners(inside)
    crossed = corners.any(axis=0) & ~corners.all(axis=0)
    cells = np.argwhere(crossed)
    numbers = np.full(crossed.shape, -1, dtype=np.intp)
    numbers[crossed] = np.arange(len(cells))
    faces = [_faces(inside, numbers, axis) for axis in range(3)]
    return Net(cells + _offsets(field, cells, level), np.concatenate(faces))


def _corners(data: NDArray[Any]) -> NDArray[Any]:
    """The eight corners of every cell, shape (8, I - 1, J - 1, K - 1)."""
    ends = [(slice(None, -1), slice(1, None))[bit] for bit in (0, 1)]
    return np.stack([data[ends[i], ends[j], ends[k]] for i, j, k in product((0, 1), repeat=3)])


def _offsets(field: NDArray[Any], cells: NDArray[np.intp], level: float) -> Vertices:
    """Where in each cell its vertex lies, each coordinate from 0 to 1."""
    total, n = np.zeros((len(cells), 3)), np.zeros((len(cells), 1))
    for axis in range(3):
        for rest in product((0, 1), repeat=2):
            start = np.insert(np.array(rest), axis, 0)
            end = np.insert(np.array(rest), axis, 1)
            a = field[tuple((cells + start).T)].astype(np.float64)
            b = field[tuple((cells + end).T)].astype(np.float64)
            crossed = (a > level) != (b > level)
            share = np.divide(level - a, b - a, out=np.zeros_like(a), where=crossed)
            total += np.where(crossed[:, None], start + share[:, None] * (end - start), 0.0)
            n += crossed[:, None]
    return np.asarray(total / np.maximum(n, 1.0), dtype=np.float64)


def _faces(inside: NDArray[np.bool_], numbers: NDArray[np.intp], axis: int) -> Faces:
    """Faces across the grid's edges along one axis: the four cells around each."""
    a, b, c = axis, (axis + 1) % 3, (axis + 2) % 3
    ordered, cells = inside.transpose(a, b, c), numbers.transpose(a, b, c)
    # Edges on the field's border have not four cells around them.
    low, high = ordered[:-1, 1:-1, 1:-1], ordered[1:, 1:-1, 1:-1]
    p, q, r = np.nonzero(low != high)
    around = ((0, 0), (1, 0), (1, 1), (0, 1))
    faces = np.stack([cells[p, q + dq, r + dr] for dq, dr in around], axis=1)
    outward = low[p, q, r]
    return np.where(outward[:, None], faces, faces[:, ::-1])
