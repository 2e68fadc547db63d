"""The largest tumour diameters after RAPNO: the longest line and its longest perpendicular.

The shape's outline is the marching-squares line at one half: it passes midway between voxels inside
and outside. A single voxel therefore measures its spacing, neither 0 nor its diagonal, and a ball's
diameter comes out without bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from plgg.core.masks import fill_holes
from plgg.core.volume import Affine, Volume, apply_affine
from plgg.data.result import Diameters
from plgg.measure.components import Mask, as_point, bounding_slices, largest_part

Points = NDArray[np.float64]
# Lines that differ by less are equally long: a symmetric shape has several longest ones.
_SAME = 1 - 1e-6
# Midpoints of the sides of a cell of two by two voxels, from the centre of its first voxel.
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
    whole = fill_holes(np.pad(shape, 1))
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
    through the middle. Either may leave a concave shape between its ends. Of several longest
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


Plane = Literal["axial", "coronal", "sagittal"]
# By the axis of the world that the plane's normal is nearest to.
_PLANES: tuple[Plane, Plane, Plane] = ("sagittal", "coronal", "axial")
# Slices so many times further apart than the voxels within them are measured in their plane only:
# in the others a diameter would be a count of few slices.
THICK = 2.0


@dataclass(frozen=True, eq=False)
class _Piece:
    """A connected part of the tumour within one slice.

    Attributes:
        normal: Axis of the grid across the slice.
        start: Index of its first voxel, shape (3,).
        shape: Its voxels, boolean, 2-D, along the other two axes in their order.
        bound_mm2: No product of its diameters is larger.
    """

    normal: int
    start: NDArray[np.int64]
    shape: Mask
    bound_mm2: float


def diameters(mask: Volume) -> Diameters | None:
    """Diameters of the largest connected part; None of an empty mask.

    Args:
        mask: Tumour wherever it is greater than 0.
    """
    tumour = mask.data > 0
    if not tumour.any():
        return None
    part = largest_part(tumour)
    pieces = [p for axis in measured_axes(mask.affine) for p in _pieces(part, axis, mask.affine)]
    piece, lines = _largest(pieces, mask.affine)
    return _record(part, piece, lines, mask.affine)


def diameters_by_plane(mask: Volume) -> dict[Plane, Diameters]:
    """Diameters of the largest connected part in each plane in which they can be measured.

    Args:
        mask: Tumour wherever it is greater than 0.
    """
    tumour = mask.data > 0
    if not tumour.any():
        return {}
    part = largest_part(tumour)
    found = {}
    for axis in measured_axes(mask.affine):
        piece, lines = _largest(list(_pieces(part, axis, mask.affine)), mask.affine)
        record = _record(part, piece, lines, mask.affine)
        found[record.plane] = record
    return found


def plane_axes(affine: Affine) -> dict[Plane, int]:
    """Which axis of a grid runs across its axial, its coronal and its sagittal slices.

    Each plane is named by the axis of the world that its normal is nearest to; no two alike.
    """
    normals = np.linalg.inv(affine[:3, :3])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    near = np.abs(normals)
    worlds = max(permutations(range(3)), key=lambda order: float(near[range(3), order].sum()))
    return {_PLANES[world]: axis for axis, world in enumerate(worlds)}


def measured_axes(affine: Affine) -> tuple[int, ...]:
    """Axes across whose slices diameters are measured: that of thick slices, otherwise all."""
    apart = _slice_distances_mm(affine)
    thick = int(np.argmax(apart))
    others = np.delete(apart, thick)
    return (thick,) if apart[thick] > THICK * others.max() else (0, 1, 2)


def _slice_distances_mm(affine: Affine) -> NDArray[np.float64]:
    """Distance between neighbouring slices across each axis, at a right angle to them."""
    return np.asarray(1.0 / np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1))


def _pieces(part: Mask, normal: int, affine: Affine) -> Iterator[_Piece]:
    """Parts of each slice that are connected within it, by sides or corners."""
    touching = np.ones((3, 3, 3), dtype=np.uint8)
    np.moveaxis(touching, normal, 0)[[0, 2]] = 0
    box = bounding_slices(part)
    labels, _ = ndimage.label(part[box], structure=touching)
    corner = np.array([side.start for side in box])
    voxel_mm2 = float(np.prod(np.abs(np.diag(_in_plane(affine, normal)))))
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        shape = np.squeeze(labels[place], axis=normal) == number
        start = corner + [side.start for side in place]
        # Half the product is at most the area of the outline's hull, and that lies in the box.
        yield _Piece(normal, start, shape, 2.0 * shape.size * voxel_mm2)


def _in_plane(affine: Affine, normal: int) -> NDArray[np.float64]:
    """Map of in-plane indices to mm in the plane, shape (2, 2), upper triangular."""
    return np.asarray(np.linalg.qr(np.delete(affine[:3, :3], normal, axis=1)).R)


def _largest(pieces: list[_Piece], affine: Affine) -> tuple[_Piece, Cross]:
    """The piece with the largest product, and its lines in mm within its plane."""
    first, *others = sorted(pieces, key=lambda piece: -piece.bound_mm2)
    best, lines = first, _measured(first, affine)
    for piece in others:
        if piece.bound_mm2 <= lines.product:
            break
        found = _measured(piece, affine)
        if found.product > lines.product:
            best, lines = piece, found
    return best, lines


def _measured(piece: _Piece, affine: Affine) -> Cross:
    corner = np.delete(piece.start, piece.normal)
    return cross((outline(piece.shape) + corner) @ _in_plane(affine, piece.normal).T)


def _record(part: Mask, piece: _Piece, lines: Cross, affine: Affine) -> Diameters:
    to_index = np.linalg.inv(_in_plane(affine, piece.normal))
    flat = np.concatenate([lines.largest, lines.across]) @ to_index.T
    slice_index = int(piece.start[piece.normal])
    ends = apply_affine(affine, np.insert(flat, piece.normal, slice_index, axis=1))
    along = bounding_slices(part)[piece.normal]
    names = {axis: plane for plane, axis in plane_axes(affine).items()}
    a, b, c, d = (as_point(end) for end in ends)
    return Diameters(
        plane=names[piece.normal],
        slice_index=slice_index,
        largest_mm=round(length(lines.largest), 3),
        perpendicular_mm=round(length(lines.across), 3),
        depth_mm=round(
            (along.stop - along.start) * float(_slice_distances_mm(affine)[piece.normal]), 3
        ),
        product_mm2=round(lines.product, 3),
        ends_mm=(a, b, c, d),
    )
