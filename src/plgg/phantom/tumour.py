"""Make the voxels of a tumour from its plan: an irregular level set with cysts, within the brain.

The border is a level set of a distance to the centre, which smooth noise makes irregular and fluid
makes longer, so that tumours follow the tissue and stop at fissures. The level is chosen to give
the planned volume. A halo is a wider level set of the same distance: its shape does not show
whether it belongs to the tumour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.phantom.grid import Box, Raster, box_shape, box_voxel
from plgg.phantom.head import Tissue
from plgg.phantom.lattice import Axes, Field3D, evaluate, unit_control
from plgg.phantom.plan import Plan

_NODE_MM = 7.0
_NODES = (27, 27, 27)  # Reaches 84 mm from the centre: farther than any tumour.
_REACH = 2.3
_FLUID_DETOUR = 1.2
_WALL_MM = 1.5


@dataclass(frozen=True, eq=False)
class Tumour:
    """A tumour in a part of the head's box.

    Attributes:
        box: Part of the head's box that holds the tumour.
        mask: Tumour with its cysts, and the halo where that is tumour; boolean, shape of the part.
        depth_mm: Distance from the border without the halo, positive inside; float32.
        halo_mm: Distance from the outer border of the halo; None without one.
        cyst: Fraction of cyst in each voxel, in [0, 1]; float32.
        unevenness: Smooth noise of standard deviation near 1, fixed to the tumour; float32.
    """

    box: Box
    mask: NDArray[np.bool_]
    depth_mm: Field3D
    halo_mm: Field3D | None
    cyst: Field3D
    unevenness: Field3D


def make_tumour(
    plan: Plan, tissue: Tissue, centre_mm: NDArray[np.float64], rng: np.random.Generator
) -> Tumour:
    """Make the voxels of a planned tumour.

    Args:
        plan: Parameters of the tumour.
        tissue: The head's tissues, on its box.
        centre_mm: Its centre in the patient's world.
        rng: A stream of the patient: the same one gives the same shape at any volume.
    """
    centre = box_voxel(centre_mm)
    # A halo reaches as far as the brain lets it.
    reach = np.inf if plan.halo else _REACH * plan.radius_mm + 8.0
    raster = tissue.raster
    box = _box_around(centre, reach, raster)
    offset = [
        points[part] - at for points, part, at in zip(raster.points_mm, box, centre, strict=True)
    ]
    coarse, fine, cyst_noise = (
        _noise_about(rng, offset, node_mm) for node_mm in (_NODE_MM, _NODE_MM / 2, _NODE_MM)
    )
    distance = _distance_mm(offset, plan.stretch)
    rough = np.exp(plan.roughness * (coarse + 0.5 * fine))
    distance *= rough * (1.0 + _FLUID_DETOUR * tissue.fluid[box])
    level, mask = _fill(
        distance, tissue.brain[box], round(plan.volume_ml * 1000.0 / raster.spacing_mm**3)
    )
    depth = _depth_mm(level, distance, mask)
    halo = None
    if plan.halo:
        outer = level * (1.0 + plan.halo)
        around = (distance < outer) & (mask | (distance >= level)) & tissue.brain[box]
        whole = _largest_component(around)
        halo = _depth_mm(outer, distance, whole)
        mask = whole if plan.infiltrates else mask
    inside_mm = _cysts_mm(plan, offset, depth, 0.12 * cyst_noise)
    # The border of cysts is one voxel wide.
    cyst = np.clip(inside_mm / np.float32(raster.spacing_mm) + 0.5, 0.0, 1.0)
    return Tumour(box=box, mask=mask, depth_mm=depth, halo_mm=halo, cyst=cyst, unevenness=fine)


def _depth_mm(level: float, distance: Field3D, piece: NDArray[np.bool_]) -> Field3D:
    """Distance from a level, positive inside; pieces cut off by a fissure are outside."""
    depth = level - distance
    depth[~piece & (depth > 0)] = -10.0
    return depth


def _box_around(centre: NDArray[np.float64], reach: float, raster: Raster) -> Box:
    low = [int(max(at - reach, 0)) for at in centre]
    high = [int(min(at + reach + 2, n)) for at, n in zip(centre, box_shape(), strict=True)]
    return raster.between(low, high)


def _noise_about(
    rng: np.random.Generator, offset: list[NDArray[np.float64]], node_mm: float
) -> Field3D:
    """Noise fixed to the tumour's centre, whatever the part of the head that is asked for."""
    half = (_NODES[0] - 1) / 2
    x, y, z = (at / node_mm + half for at in offset)
    positions: Axes = (x, y, z)
    return evaluate(unit_control(rng, _NODES), positions)


def _distance_mm(offset: list[NDArray[np.float64]], stretch: NDArray[np.float64]) -> Field3D:
    x, y, z = (((at / by) ** 2).astype(np.float32) for at, by in zip(offset, stretch, strict=True))
    squared = x[:, None, None] + y[None, :, None] + z[None, None, :]
    return np.asarray(np.sqrt(squared), dtype=np.float32)


def _fill(
    distance: Field3D, brain: NDArray[np.bool_], n_voxels: int
) -> tuple[float, NDArray[np.bool_]]:
    """Find the level whose largest connected part in the brain has about `n_voxels` voxels.

    Fissures may cut parts off; the level is adjusted to make up for them.
    """
    inside = np.sort(distance[brain])
    rank, level, piece = n_voxels, 0.0, brain
    for _ in range(6):
        level = float(inside[min(rank, inside.size - 1)])
        piece = _largest_component((distance < level) & brain)
        missing = n_voxels - int(piece.sum())
        if abs(missing) < 0.02 * n_voxels:
            break
        rank += missing
    return level, piece


def _largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, n_pieces = ndimage.label(mask)
    if n_pieces < 2:
        return mask
    return np.asarray(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]), dtype=np.bool_)


def _cysts_mm(
    plan: Plan, offset: list[NDArray[np.float64]], depth: Field3D, unevenness: Field3D
) -> Field3D:
    """Distance from the border of the nearest cyst, positive inside; under a wall of tumour."""
    inside = np.full(depth.shape, -10.0, dtype=np.float32)
    for *where, radius in plan.cysts:
        shifted = [at - plan.radius_mm * shift for at, shift in zip(offset, where, strict=True)]
        reach = _distance_mm(shifted, plan.stretch) * (1.0 + unevenness)
        np.maximum(inside, plan.radius_mm * radius - reach, out=inside)
    return np.asarray(np.minimum(inside, depth - _WALL_MM), dtype=np.float32)
