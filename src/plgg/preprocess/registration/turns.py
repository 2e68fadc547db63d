"""Turns of a head by the 24 rotations of a cube: which of them would put it upright?

A header that is wrong about the orientation is wrong by such a turn. Rotations only: an image that
is mirrored looks like a head, and no turn tells it from one.
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
    """The 24 rotations that carry a cube's axes onto each other, as 3×3 matrices; first, none."""
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[range(3), order] = signs
            if np.linalg.det(turn) > 0:
                yield turn


def likely_turns(moving: Frame, atlas: AtlasView, most: int) -> list[Affine]:
    """Turns about the brain's centre after which it lies as the atlas' brain does, likeliest first.

    Each is judged from where it puts the brain, its extents stretched to the atlas brain's, by
    mutual information within both brains times their overlap. On eight clinical scans the upright
    position was the first of all 24.

    Args:
        moving: The scan's brain, however it lies.
        atlas: The atlas.
        most: How many to give; the turn that changes nothing is not among them.

    Returns:
        4×4 matrices from native world to a world in which the head may be upright, mm.
    """
    _, *others = cube_turns()
    turns = [_about(moving.centre_mm, turn) for turn in others]
    return sorted(turns, key=lambda turn: -_promise(turned(moving, turn), atlas))[:most]


def turned(frame: Frame, turn: Affine) -> Frame:
    """A brain in the world that a turn leads to; its voxels stay as they are."""
    return Frame(Volume(frame.image.data, turn @ frame.image.affine), frame.brain)


def named(turn: NDArray[np.float64]) -> str:
    """A turn in words, such as `turned by 180° about the left-right axis`."""
    kept = [name for axis, name in enumerate(_AXES) if turn[axis, axis] == 1.0]
    if len(kept) != 1:  # Where two axes stay, they stay or are turned upside down together.
        return "with its axes exchanged"
    return f"turned by {angle_deg(turn):.0f}° about the {kept[0]} axis"


def angle_deg(turn: NDArray[np.float64]) -> float:
    """By how much a rotation turns, about whatever axis."""
    return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0))))


def moments(points: NDArray[Any]) -> Moments:
    """Centre and standard deviation of points along each axis, in their unit; shape (n, 3)."""
    return points.mean(axis=0), np.maximum(points.std(axis=0), 1e-3)


def posture(turn: NDArray[np.float64]) -> str:
    """How a head lies that a turn puts upright, in words, such as `upside down`."""
    # Rows of the turn: where right, front and crown of the head are in the header's world.
    front, crown = turn[1], turn[2]
    if crown[2] == 0.0:
        return "on its side" if crown[0] else "on its face or on its back"
    if crown[2] == -1.0:
        return "upside down"
    return "back to front" if front[1] == -1.0 else "facing sideways"


def _promise(moving: Frame, atlas: AtlasView) -> float:
    """How well a brain lies as the atlas' does, before any registration."""
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
    """Centre onto centre and extent onto extent along each axis, from atlas to native world."""
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
