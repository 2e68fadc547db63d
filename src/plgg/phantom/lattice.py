"""Smooth fields: cubic B-splines on a coarse lattice of control points.

The free-form deformations of Rueckert et al. 1999 (IEEE Trans Med Imaging); the same fields serve
as noise and as coil sensitivity. A spline reproduces linear functions exactly, so that an affine
map can be carried by its control points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field3D = NDArray[np.float32]
Axes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
Shape = tuple[int, int, int]


def weights(positions: NDArray[np.float64], n_nodes: int) -> Field3D:
    """Weights of each control point at each position along one axis.

    Args:
        positions: Shape (P,), in units of the lattice: control point n lies at n. Beyond
            [1, n_nodes - 2] the field is held constant.
        n_nodes: Number of control points, at least 4.

    Returns:
        Array of shape (P, n_nodes); each row sums to 1.
    """
    inside = np.clip(positions, 1.0, n_nodes - 2.0 - 1e-9)
    distance = np.abs(inside[:, None] - np.arange(n_nodes)[None, :])
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.maximum(2.0 - distance, 0.0) ** 3 / 6.0
    return np.where(distance < 1.0, near, far).astype(np.float32)


def evaluate(control: Field3D, positions: Axes) -> Field3D:
    """The field at every crossing of the positions along the three axes.

    Args:
        control: Control points, shape (A, B, C).
        positions: Three arrays of lengths P, Q, R, in units of the lattice.

    Returns:
        float32 array of shape (P, Q, R).
    """
    x, y, z = (weights(at, n) for at, n in zip(positions, control.shape, strict=True))
    a, b, c = control.shape
    along_x = (x @ control.reshape(a, b * c)).reshape(-1, b, c)
    along_y = np.matmul(y, along_x)
    return np.ascontiguousarray(along_y @ z.T, dtype=np.float32)


def covering(shape: Shape, spacing: float) -> tuple[Shape, Axes]:
    """The lattice of a spacing that covers a grid.

    Args:
        shape: Voxels of the grid.
        spacing: Voxels between control points.

    Returns:
        Number of control points along each axis, and the voxels' positions among them.
    """
    a, b, c = (int(np.ceil((n - 1) / spacing)) + 4 for n in shape)
    x, y, z = (np.arange(n, dtype=np.float64) for n in shape)
    return (a, b, c), on_nodes((x, y, z), spacing)


def on_nodes(points: Axes, spacing: float) -> Axes:
    """Positions among the control points of `covering`'s lattice, in its units.

    Args:
        points: Positions along each axis, in voxels of the grid that the lattice covers.
        spacing: Voxels between control points.
    """
    x, y, z = (at / spacing + 1.0 for at in points)
    return x, y, z


def noise(
    rng: np.random.Generator, shape: Shape, spacing: float, points: Axes | None = None
) -> Field3D:
    """Smooth noise of mean 0 and standard deviation near 1, correlated over about `spacing` voxels.

    Args:
        rng: Generator of the control points.
        shape: Voxels of the grid that the field covers.
        spacing: Voxels between control points.
        points: Where to evaluate it, in voxels of that grid; by default at each of them.
    """
    nodes, positions = covering(shape, spacing)
    if points is not None:
        positions = on_nodes(points, spacing)
    return evaluate(unit_control(rng, nodes), positions)


def unit_control(rng: np.random.Generator, nodes: Shape) -> Field3D:
    """Random control points whose field has a standard deviation near 1."""
    # A cubic B-spline passes on 0.4793 = mean over a cell of the sum of squared weights, per axis.
    return np.asarray(rng.standard_normal(nodes) / 0.4793**1.5, dtype=np.float32)
