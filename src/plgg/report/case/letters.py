"""What a picture's edges are called: R, L, A, P, S, I, as the affine says, never by the axis' name.

An edge of an oblique slice gets two letters, the nearer direction first. Knows nothing of pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plgg.volume import Affine

_PAIRS = (("R", "L"), ("A", "P"), ("S", "I"))
# A second letter is given from 15 degrees of tilt.
_TILT = float(np.sin(np.deg2rad(15.0)))


class Edges(NamedTuple):
    """Letters at the four edges of a picture."""

    left: str
    right: str
    top: str
    bottom: str


def direction(vector: NDArray[Any]) -> str:
    """Letters of a direction in the world (RAS+), such as `R`, or `RA` between right and front.

    Args:
        vector: Shape (3,), any length but 0.
    """
    unit = np.asarray(vector, dtype=np.float64) / np.linalg.norm(vector)
    order = np.argsort(-np.abs(unit), kind="stable")
    told = [axis for n, axis in enumerate(order) if n == 0 or abs(unit[axis]) >= _TILT]
    return "".join(_PAIRS[axis][0 if unit[axis] > 0 else 1] for axis in told)


def edges(affine: Affine, *, columns: int, rows: int) -> Edges:
    """Letters of a slice whose columns and rows run along these voxel axes of an affine."""
    right, down = affine[:3, columns], affine[:3, rows]
    return Edges(direction(-right), direction(right), direction(-down), direction(down))


def tilt_degrees(affine: Affine) -> float:
    """Largest angle between a voxel axis and the world axis that it is nearest to."""
    units = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.rad2deg(np.arccos(np.clip(np.abs(units).max(axis=0).min(), -1.0, 1.0))))
