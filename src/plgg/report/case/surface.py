"""Surface meshes of head and tumour for the rotating 3-D view.

Naive surface nets (Gibson 1998): one vertex in every cell that the surface crosses, at the mean of
the crossings of the cell's edges; one face for every grid edge that it crosses. The surface is
closed where the field's border lies outside.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.volume import Volume, apply_affine
from plgg.report.case.view import ScanView

Vertices = NDArray[np.float64]
Faces = NDArray[np.intp]


class Net(NamedTuple):
    """Vertices in voxel coordinates, shape (n, 3), and faces of four of them, shape (m, 4).

    Seen from outside, a face's corners run counter-clockwise.
    """

    vertices: Vertices
    faces: Faces


def surface_net(field: NDArray[Any], level: float) -> Net:
    """Extract the surface at which a field crosses a level.

    Args:
        field: Shape (I, J, K), each at least 2; above the level is inside.
        level: Value of the field on the surface.
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
    """Position of the vertex within each cell, each coordinate from 0 to 1."""
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
    # Edges on the border of the field have fewer than four cells around them.
    low, high = ordered[:-1, 1:-1, 1:-1], ordered[1:, 1:-1, 1:-1]
    p, q, r = np.nonzero(low != high)
    around = ((0, 0), (1, 0), (1, 1), (0, 1))
    faces = np.stack([cells[p, q + dq, r + dr] for dq, dr in around], axis=1)
    outward = low[p, q, r]
    return np.where(outward[:, None], faces, faces[:, ::-1])


_HEAD_MM = 5.0
_TUMOUR_MM = (0.8, 3.0)
_ACROSS_TUMOUR = 16


@dataclass(frozen=True)
class Mesh:
    """A surface as base64 texts, little endian.

    Attributes:
        points: int16, three a vertex: tenths of a millimetre from the view's centre, RAS+.
        faces: uint16, four vertices a face, counter-clockwise from outside.
    """

    points: str
    faces: str


@dataclass(frozen=True)
class Scene:
    """The meshes of the 3-D view; None where one is empty or has too many vertices for uint16.

    Attributes:
        radius_mm: Radius of the sphere around the centre that encloses both.
    """

    head: Mesh | None
    tumour: Mesh | None
    radius_mm: float


def make_scene(view: ScanView) -> Scene:
    """The surfaces of head and tumour."""
    head = smooth_surface(view.head, _HEAD_MM)
    tumour = smooth_surface(Volume(view.mask, view.affine), _tumour_step_mm(view.mask, view.affine))
    points = np.concatenate([head.vertices, tumour.vertices])
    if not len(points):
        return Scene(None, None, 0.0)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = float(np.linalg.norm(points - centre, axis=1).max())
    return Scene(_coded(head, centre), _coded(tumour, centre), round(radius, 1))


def smooth_surface(inside: Volume, step_mm: float) -> Net:
    """The surface of a boolean volume, in millimetres of the world, on a grid of this step."""
    found = ndimage.find_objects(inside.data.astype(np.uint8))
    if not found:
        return Net(np.zeros((0, 3)), np.zeros((0, 4), dtype=np.intp))
    cut = np.pad(inside.data[found[0]], 1).astype(np.float32)
    spacing = inside.spacing_mm
    field = ndimage.gaussian_filter(
        np.pad(cut, [(pad, pad) for pad in _padding(spacing, step_mm)]), 0.6 * step_mm / spacing
    )
    ratio = step_mm / spacing
    n = np.ceil((np.array(field.shape) - 1) / ratio).astype(int) + 2
    grid = np.indices(tuple(n.tolist())).reshape(3, -1) * ratio[:, None] - ratio[:, None] / 2
    sampled = ndimage.map_coordinates(field, grid, order=1, mode="constant").reshape(n)
    net = surface_net(sampled, min(0.5, 0.6 * float(sampled.max())))
    corner = np.array([side.start for side in found[0]]) - 1 - _padding(spacing, step_mm)
    voxels = net.vertices * ratio - ratio / 2 + corner
    faces = net.faces if np.linalg.det(inside.affine[:3, :3]) > 0 else net.faces[:, ::-1]
    return Net(apply_affine(inside.affine, voxels), faces)


def _padding(spacing: NDArray[np.float64], step_mm: float) -> NDArray[np.intp]:
    return np.ceil(2 * step_mm / spacing).astype(np.intp)


def _tumour_step_mm(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> float:
    """Step of the grid: finer for small tumours, coarser for large ones to keep the page small."""
    side = (mask.sum() * abs(np.linalg.det(affine[:3, :3]))) ** (1 / 3)
    return float(np.clip(side / _ACROSS_TUMOUR, *_TUMOUR_MM))


def _coded(net: Net, centre: NDArray[np.float64]) -> Mesh | None:
    if not 0 < len(net.vertices) < 2**16:
        return None
    tenths = np.clip(np.rint(10 * (net.vertices - centre)), -32767, 32767)
    return Mesh(_text(tenths.astype("<i2")), _text(net.faces.astype("<u2")))


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
