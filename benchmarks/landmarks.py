"""Landmarks that are carried to the atlas and back: points, and balls painted as a mask."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from plgg.core.placement import Placement
from plgg.core.volume import Volume, apply_affine
from plgg.preprocess.normalise import restore
from plgg.preprocess.resample import resample, smooth_for

N_BALLS, RADIUS_MM, APART_MM = 10, 4.0, 24.0


def points_gap(brain: NDArray[np.bool_], placement: Placement) -> float:
    """Largest distance, in native voxels, of points in the brain that went there and back."""
    random = np.random.default_rng(0)
    points = random.choice(np.argwhere(brain), 100) + random.uniform(-0.5, 0.5, (100, 3))
    there = apply_affine(placement.box_from_native(), points)
    gaps = apply_affine(placement.native_from_box(), there) - points
    return float(np.linalg.norm(gaps, axis=1).max())


def balls_gap(
    flair: Volume, brain: NDArray[np.bool_], placement: Placement
) -> tuple[int, float | None]:
    """How many balls were painted, and how far the farthest came back, in native voxels.

    They go as a tumour mask goes: resampled to the atlas grid, thresholded, resampled back. One
    that is lost is infinitely far.
    """
    balls = list(painted(flair, brain))
    if not balls:
        return 0, None
    native = np.zeros(flair.shape, np.float32)
    for ball in balls:
        native[tuple(ball.T)] = 1.0
    came = np.argwhere(carried_back(flair.with_data(native), placement))
    gaps = []
    for centre in (ball.mean(axis=0) for ball in balls):
        near = np.linalg.norm((came - centre) * flair.spacing_mm, axis=1) < APART_MM / 2
        found = came[near].mean(axis=0) if near.any() else np.inf
        gaps.append(float(np.linalg.norm(found - centre)))
    return len(balls), round(max(gaps), 4)


def carried_back(mask: Volume, placement: Placement) -> NDArray[np.bool_]:
    """A native mask once it has been to the atlas grid of 1 mm and back, as a tumour's goes."""
    smooth = smooth_for(mask.data, spacing_mm=mask.spacing_mm, target_mm=1.0)
    there = resample(smooth, placement.native_from_box(), placement.box_shape) >= 0.5
    return np.asarray(restore(there, placement).data >= 0.5, dtype=np.bool_)


def painted(flair: Volume, brain: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Voxels of balls that lie wholly in the brain, apart from each other; each of shape (N, 3)."""
    random = np.random.default_rng(0)
    reach = np.floor(RADIUS_MM / flair.spacing_mm).astype(int)
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach)), -1).reshape(-1, 3)
    ball = steps[np.linalg.norm(steps * flair.spacing_mm, axis=1) <= RADIUS_MM]
    centres: list[NDArray[np.int64]] = []
    for centre in random.permutation(np.argwhere(brain))[:3000]:
        voxels = centre + ball
        inside = (voxels >= 0).all() and (voxels < flair.shape).all()
        apart = all(np.linalg.norm((c - centre) * flair.spacing_mm) > APART_MM for c in centres)
        if inside and apart and brain[tuple(voxels.T)].all():
            centres.append(centre)
            yield voxels
        if len(centres) == N_BALLS:
            return
