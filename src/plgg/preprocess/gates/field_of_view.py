"""Is the whole brain in the scan? A brain that is cut off ends in a flat face.

Seen in the scan's own world, before any registration can stretch half a brain over the atlas, and
from all sides, because a scan that was resampled may be cut obliquely.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plgg.io.quality import Verdict
from plgg.preprocess.gates.limits import at_most
from plgg.volume import Affine, apply_affine, spacing_mm

CUT = at_most(0.55, 0.72)
_N_DIRECTIONS = 2000
_N_POINTS = 6000
_SLAB_MM = 10.0
# Stray voxels at the very end hide no face.
_STRAY = 0.002
_SIDES = (("left", "right"), ("back", "front"), ("lower", "upper"))


def field_of_view(brain: NDArray[np.bool_], affine: Affine) -> Verdict:
    """Brain in the outermost slab of any direction, over the brain in the fullest slab of it.

    A whole brain ends in a small slab, a brain cut in half in the fullest of all. Slabs are 10 mm
    thick, or a slice and a half where slices are thicker.

    Args:
        brain: On the native grid, not empty.
        affine: Voxel → world in mm.
    """
    slab_mm = max(_SLAB_MM, 1.5 * float(spacing_mm(affine).max()))
    points = _sampled(brain, affine)
    shares = [_end_share(points @ direction, slab_mm) for direction in _directions()]
    worst = int(np.argmax(shares))
    return Verdict(
        gate="field-of-view",
        status=CUT.status(shares[worst]),
        value=round(shares[worst], 4),
        limits=CUT.words(),
        message=f"the brain is cut off at its {_side(_directions()[worst])} end: the last "
        f"{slab_mm:.0f} mm there hold {shares[worst]:.0%} of what the fullest {slab_mm:.0f} mm do",
        remedy="Use a scan that covers the whole brain.",
    )


def _sampled(brain: NDArray[np.bool_], affine: Affine) -> NDArray[np.float64]:
    """Points in the brain, spread over their voxels so that slices leave no comb; shape (N, 3)."""
    random = np.random.default_rng(0)
    voxels = np.flatnonzero(brain)
    chosen = random.choice(voxels, min(_N_POINTS, voxels.size), replace=False)
    places = np.stack(np.unravel_index(chosen, brain.shape), axis=1)
    return apply_affine(affine, places + random.uniform(-0.5, 0.5, places.shape))


def _directions() -> NDArray[np.float64]:
    """Unit vectors spread evenly over the sphere (Fibonacci's spiral), shape (N, 3)."""
    index = np.arange(_N_DIRECTIONS) + 0.5
    z = 1.0 - 2.0 * index / _N_DIRECTIONS
    angle = np.pi * (1.0 + np.sqrt(5.0)) * index
    radius = np.sqrt(1.0 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def _end_share(depth: NDArray[np.float64], slab_mm: float) -> float:
    """Points in the last slab along a direction over those in the fullest slab."""
    last = depth.size - 1 - int(_STRAY * depth.size)
    below = np.partition(depth, last)[last] - depth
    slabs = np.bincount((np.maximum(below, 0.0) / slab_mm).astype(np.int64))
    return float(slabs[0] / slabs.max())


def _side(direction: NDArray[np.float64]) -> str:
    """The side of the patient that a direction points to; the world is RAS+."""
    axis = int(np.argmax(np.abs(direction)))
    return _SIDES[axis][int(direction[axis] > 0)]
