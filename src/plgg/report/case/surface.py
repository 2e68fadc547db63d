"""Surfaces of head and tumour for the turning view, as text that the page's script decodes.

Coarse on purpose: they show where the tumour lies, not what a face looks like. A small script of
our own draws them on a plain canvas: 0.1 MB, and neither WebGL nor a library of 4.5 MB is needed.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.report.case.nets import Net, surface_net
from plgg.report.case.shown import Shown
from plgg.volume import Volume, apply_affine

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
    """What is turned; a part is None where there is nothing of it.

    Attributes:
        radius_mm: Of the ball around the centre that holds everything.
    """

    head: Mesh | None
    tumour: Mesh | None
    radius_mm: float


def scene_of(shown: Shown) -> Scene:
    """The surfaces of what is shown."""
    head = smooth_surface(shown.head, _HEAD_MM)
    tumour = smooth_surface(
        Volume(shown.mask, shown.affine), _tumour_step_mm(shown.mask, shown.affine)
    )
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
    """Small tumours need a finer grid, large ones would make a large page."""
    side = (mask.sum() * abs(np.linalg.det(affine[:3, :3]))) ** (1 / 3)
    return float(np.clip(side / _ACROSS_TUMOUR, *_TUMOUR_MM))


def _coded(net: Net, centre: NDArray[np.float64]) -> Mesh | None:
    if not 0 < len(net.vertices) < 2**16:
        return None
    tenths = np.clip(np.rint(10 * (net.vertices - centre)), -32767, 32767)
    return Mesh(_text(tenths.astype("<i2")), _text(net.faces.astype("<u2")))


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
