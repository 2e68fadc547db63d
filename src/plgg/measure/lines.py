"""The longest line of a flat shape, and the longest one across it at a right angle.

The shape's outline is the marching-squares line at one half: it passes midway between voxels inside
and outside. A single voxel therefore measures its spacing, neither 0 nor its diagonal, and a ball's
diameter comes out without bias. Knows nothing of slices, patients or the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from plgg.holes import filled

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Lines that differ by less are equally long: a symmetric shape has several longest ones.
_SAME = 1 - 1e-6
# Of a cell of two by two voxels, the middles of its sides from its first voxel's centre.
_MIDDLES = np.array([(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)])


@dataclass(frozen=True, eq=False)
class Cross:
    """Two lines at a right angle.

    Attributes:
        largest: Its ends, shape (2, 2).
        across: Its ends, shape (2, 2).
    """

    largest: Points
    across: Points

    @property
    def product(self) -> float:
        """Product of their lengths."""
        return length(self.largest) * length(self.across)


def length(line: Points) -> float:
    """Distance between the two ends of a line, shape (2, 2)."""
    return float(np.linalg.norm(line[1] - line[0]))


def outline(shape: Mask) -> Points:
    """Straight pieces of the outer outline, in voxel indices, shape (pieces, 2 ends, 2).

    Holes are filled. Voxels that touch by a corner only are joined there.

    Args:
        shape: Boolean, shape (I, J), with something in it.
    """
    whole = filled(np.pad(shape, 1))
    a, b = whole[:-1] != whole[1:], whole[:, :-1] != whole[:, 1:]
    crossed = (a[:, :-1], b[1:, :], a[:, 1:], b[:-1, :])
    pieces = []
    for first, second in combinations(range(4), 2):
        cells = np.argwhere(crossed[first] & crossed[second]) - 1.0
        pieces.append(np.stack([cells + _MIDDLES[first], cells + _MIDDLES[second]], axis=1))
    return np.concatenate(pieces)


def cross(pieces: Points) -> Cross:
    """The longest line between two points of an outline, and the longest one across it.

    The line across is at exactly 90 degrees and has both ends on the outline; it need not pass
    through the middle. Either may leave the shape between its ends, over a bay. Of several longest
    lines, the one with the longest line across is taken.

    Args:
        pieces: As `outline` gives them, mapped to mm.
    """
    corners = pieces.reshape(-1, 2)
    hull = corners[ConvexHull(corners).vertices]
    distances = pdist(hull)
    ends = np.array(list(combinations(range(len(hull)), 2)))
    longest = ends[distances >= distances.max() * _SAME]
    crosses = [Cross(hull[pair], _across(pieces, hull[pair])) for pair in longest]
    return max(crosses, key=lambda found: found.product)


def _across(pieces: Points, largest: Points) -> Points:
    """Ends of the longest line at a right angle to `largest`, shape (2, 2).

    Between the outline's corners its extent changes linearly, so it is longest at one of them.
    """
    along = (largest[1] - largest[0]) / length(largest)
    turn = np.stack([along, (-along[1], along[0])])
    turned = pieces @ turn.T
    at = np.unique(turned[..., 0])
    low, high = _extents(turned, at)
    best = int(np.argmax(high - low))
    ends = np.array([(at[best], low[best]), (at[best], high[best])])
    return np.asarray(ends @ turn, dtype=np.float64)


def _extents(pieces: Points, at: NDArray[np.float64]) -> tuple[Points, Points]:
    """Lowest and highest second coordinate of an outline where its first one is each of `at`."""
    order = np.argsort(pieces[..., 0], axis=1)[..., None]
    (x0, y0), (x1, y1) = np.moveaxis(np.take_along_axis(pieces, order, axis=1), (1, 2), (0, 1))
    first = np.searchsorted(at, x0)
    times = np.searchsorted(at, x1, side="right") - first
    piece = np.repeat(np.arange(len(times)), times)
    # Each piece meets the lines from its first one on.
    line = np.arange(len(piece)) - np.repeat(np.cumsum(times) - times - first, times)
    width = (x1 - x0)[piece]
    share = np.divide(at[line] - x0[piece], width, out=np.zeros(len(line)), where=width > 0)
    y = y0[piece] + share * (y1 - y0)[piece]
    low, high = np.full(len(at), np.inf), np.full(len(at), -np.inf)
    np.minimum.at(low, line, y)
    np.maximum.at(high, line, y)
    return low, high
