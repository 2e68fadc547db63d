"""What a network sees of a case: sequences, and neighbouring slices as further channels.

channels of the image, those of the slice before, those of the slice behind, …
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plgg.config import Config

Number = TypeVar("Number", np.int8, np.float32)


@dataclass(frozen=True)
class Inputs:
    """What a network sees.

    Attributes:
        channels: Sequences.
        neighbours: Slices on each side of a voxel's own.
        neighbour_mm: How far apart.
    """

    channels: tuple[str, ...] = ("flair",)
    neighbours: int = 0
    neighbour_mm: float = 5.5

    @classmethod
    def of(cls, config: Config) -> Inputs:
        """As the settings say."""
        return cls(config.channels, config.model.neighbours, config.model.neighbour_mm)

    def offsets(self, slice_mm: float) -> tuple[int, ...]:
        """Of the slices that are shown, where these lie that far apart."""
        return neighbour_offsets(self.neighbours, self.neighbour_mm, slice_mm)


FLAIR = Inputs()


def neighbour_offsets(n: int, distance_mm: float, slice_mm: float) -> tuple[int, ...]:
    """Which slices are shown, counted from the one at hand; that one first.

    Args:
        n: Neighbours on each side.
        distance_mm: From each to the next.
        slice_mm: Distance of the slices that there are.

    >>> neighbour_offsets(1, 5.5, 2.0)
    (0, -3, 3)
    """
    step = max(1, round(distance_mm / slice_mm))
    return (0, *(side * number * step for number in range(1, n + 1) for side in (-1, 1)))


def with_neighbours(
    image: NDArray[Number], offsets: Sequence[int], *, outside: int = 0
) -> NDArray[Number]:
    """An image whose channels are those of its slices and of their neighbours.

    Args:
        image: Shape (C, I, J, K).
        offsets: As `neighbour_offsets` gives them.
        outside: What stands for a slice beyond the ends.

    Returns:
        Shape (C · len(offsets), I, J, K).

    >>> with_neighbours(np.ones((1, 1, 1, 3), np.float32), (0, -1, 1))[:, 0, 0]
    array([[1., 1., 1.],
           [0., 1., 1.],
           [1., 1., 0.]], dtype=float32)
    """
    if tuple(offsets) == (0,):
        return image
    n = image.shape[-1]
    shifted = []
    for offset in offsets:
        moved = np.full_like(image, outside)
        low, high = max(0, -offset), min(n, n - offset)
        if low < high:
            moved[..., low:high] = image[..., low + offset : high + offset]
        shifted.append(moved)
    return np.concatenate(shifted)
