"""Search the 24 rotations of a cube for the one that puts a head upright.

A wrong orientation in a header differs from the right one by such a rotation. A mirrored image
cannot be detected so, because it looks like a head, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.volume import Affine, Volume, apply_affine
from plgg.preprocess.registration.frame import AtlasView, Frame, carried
from plgg.preprocess.registration.start import mutual_information

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Centre and extent along each axis."""
_AXES = ("left-right", "front-back", "foot-head")
_STRIDE = 3


def cube_turns() -> Iterator[NDArray[np.float64]]:
    """The 24 rotations that map a cube onto itself, as 3×3 matrices; the first is the identity."""
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[range(3), order] = signs
            if np.linalg.det(turn) > 0:
                yield turn


def likely_turns(moving: Frame, atlas: AtlasView, most: int) -> list[Affine]:
    """Rotations about the brain's centre that may put it upright, the likeliest first.

    The score of each is the mutual information within both brains times their overlap, after the
    brain's extents are scaled to those of the atlas brain. On eight clinical scans the upright
    position was the first of all 24.

    Args:
        moving: The scan's brain, in any orientation.
        atlas: The atlas.
        most: How many to give; the identity is not among them.

    Returns:
        4×4 matrices from native world to a world in which the head may be upright, mm.
    """
    _, *others = cube_turns()
    turns = [_about(moving.centre_mm, turn) for turn in others]
    return sorted(turns, key=lambda turn: -_promise(turned(moving, turn), atlas))[:most]


def turned(frame: Frame, turn: Affine) -> Frame:
    """Rotate the affine of a brain; its voxels stay as they are."""
    return Frame(Volume(frame.image.data, turn @ frame.image.affine), frame.brain)


def named(turn: NDArray[np.float64]) -> str:
    """A rotation in words, such as `turned by 180° about the left-right axis`."""
    kept = [name for axis, name in enumerate(_AXES) if turn[axis, axis] == 1.0]
    if len(kept) != 1:  # Where two axes stay, they stay or are turned upside down together.
        return "with its axes exchanged"
    return f"turned by {angle_deg(turn):.0f}° about the {kept[0]} axis"


def angle_deg(turn: NDArray[np.float64]) -> float:
    """Angle of a rotation about its axis, in degrees."""
    return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0))))


def moments(points: NDArray[Any]) -> Moments:
    """Centre and standard deviation of points along each axis, in their unit; shape (n, 3)."""
    return points.mean(axis=0), np.maximum(points.std(axis=0), 1e-3)


def posture(turn: NDArray[np.float64]) -> str:
    """How a head lies that a rotation would put upright, in words, such as `upside down`."""
    # Rows of the turn: where right, front and crown of the head are in the header's world.
    front, crown = turn[1], turn[2]
    if crown[2] == 0.0:
        return "on its side" if crown[0] else "on its face or on its back"
    if crown[2] == -1.0:
        return "upside down"
    return "back to front" if front[1] == -1.0 else "facing sideways"


def _promise(moving: Frame, atlas: AtlasView) -> float:
    """Score of a brain's orientation before any registration: similarity times overlap."""
    stride = np.diag([_STRIDE, _STRIDE, _STRIDE, 1.0])
    part = (slice(None, None, _STRIDE),) * 3
    image, theirs = atlas.frame.image.data[part], atlas.frame.brain[part]
    i, j, k = theirs.shape
    to_native = _stretched(moving, atlas) @ atlas.grid.affine @ stride
    scan = carried(moving.image.data, moving.image.affine, to_native, (i, j, k))
    ours = carried(moving.brain, moving.image.affine, to_native, (i, j, k)) >= 0.5
    both = ours & theirs
    dice = 2.0 * float(both.sum()) / max(float(ours.sum() + theirs.sum()), 1.0)
    return (mutual_information(scan[both], image[both]) - 1.0) * dice


def _stretched(moving: Frame, atlas: AtlasView) -> Affine:
    """Matrix from atlas to native world that matches centre and extent along each axis."""
    middle, extent = _moments(atlas.frame)
    centre, ours = _moments(moving)
    matrix = np.diag([*(ours / extent), 1.0])
    matrix[:3, 3] = centre - matrix[:3, :3] @ middle
    return matrix


def _moments(frame: Frame) -> Moments:
    """Centre of mass and standard deviation of a brain along the axes of its world, mm."""
    return moments(apply_affine(frame.image.affine, np.argwhere(frame.brain)))


def _about(centre: NDArray[np.float64], turn: NDArray[np.float64]) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre - turn @ centre
    return matrix
