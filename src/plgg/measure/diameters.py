"""The largest tumour diameters, as radiologists measure them after RAPNO.

Two lines at a right angle in one slice, and their product (Fangusaro et al., Lancet Oncology 2020).
Measured on the native voxels, in the three planes of the grid, through the affine: grids may be
oblique, sheared or of thick slices. docs/measures.md says how. Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from plgg.io.result import Diameters
from plgg.measure.components import Mask, around, as_point, largest_part
from plgg.measure.lines import Cross, cross, length, outline
from plgg.volume import Affine, Volume, apply_affine

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


def plane_axes(affine: Affine) -> dict[Plane, int]:
    """Which axis of a grid runs across its axial, its coronal and its sagittal slices.

    Each plane is named by the axis of the world that its normal is nearest to; no two alike.
    """
    normals = np.linalg.inv(affine[:3, :3])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    axes, worlds = linear_sum_assignment(-np.abs(normals))
    return {_PLANES[world]: int(axis) for axis, world in zip(axes, worlds, strict=True)}


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
    box = around(part)
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
    along = around(part)[piece.normal]
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
