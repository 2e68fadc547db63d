"""Input channels of a network: MR sequences, and neighbouring slices as further channels.

The order is: channels of the slice itself, of the slice before, of the slice behind, … In the arm
oracle, which has the true marker as input, a constant plane for each class comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plgg.config import Config, Label

Number = TypeVar("Number", np.int8, np.float32)


@dataclass(frozen=True)
class Inputs:
    """Input channels of a network.

    Attributes:
        channels: MR sequences.
        neighbours: Neighbouring slices on each side.
        neighbour_mm: Distance between neighbouring slices.
        marker_planes: Whether the true marker is an input, as planes after all channels.
        labels: Regions of the mask as segmentation targets; empty for the tumour alone.
    """

    channels: tuple[str, ...] = ("flair",)
    neighbours: int = 0
    neighbour_mm: float = 5.5
    marker_planes: bool = False
    labels: tuple[Label, ...] = ()

    @classmethod
    def of(cls, config: Config) -> Inputs:
        """Make the inputs that the settings specify."""
        model = config.model
        return cls(
            config.channels,
            model.neighbours,
            model.neighbour_mm,
            model.marker_planes,
            config.labels,
        )

    def offsets(self, slice_mm: float) -> tuple[int, ...]:
        """Offsets of the slices to stack, for an image with this distance between slices."""
        return neighbour_offsets(self.neighbours, self.neighbour_mm, slice_mm)


FLAIR = Inputs()


def neighbour_offsets(n: int, distance_mm: float, slice_mm: float) -> tuple[int, ...]:
    """Offsets of a slice and its neighbours, in slices; 0, the slice itself, comes first.

    Args:
        n: Neighbours on each side.
        distance_mm: From each to the next.
        slice_mm: Distance between the slices of the image.

    >>> neighbour_offsets(1, 5.5, 2.0)
    (0, -3, 3)
    """
    # Rounded first: half-way between two slices, floating-point error must not decide.
    step = max(1, round(round(distance_mm / slice_mm, 6)))
    return (0, *(side * number * step for number in range(1, n + 1) for side in (-1, 1)))


def stack_neighbours(
    image: NDArray[Number], offsets: Sequence[int], *, outside: int = 0
) -> NDArray[Number]:
    """Stack each slice with its neighbours along the channel axis.

    Args:
        image: Shape (C, I, J, K).
        offsets: As `neighbour_offsets` gives them.
        outside: Value of slices beyond the ends.

    Returns:
        Shape (C · len(offsets), I, J, K).

    >>> stack_neighbours(np.ones((1, 1, 1, 3), np.float32), (0, -1, 1))[:, 0, 0]
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


def one_hot(marker: str | None, classes: Sequence[str]) -> NDArray[np.float32]:
    """1 at the marker's class and 0 elsewhere, shape (classes,); all 0 where it is unknown.

    >>> one_hot("fusion", ("fusion", "other"))
    array([1., 0.], dtype=float32)
    """
    return np.array([marker == name for name in classes], dtype=np.float32)


def append_constant_channels(
    image: NDArray[np.float32], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Append a constant channel to an image for each of some values.

    Args:
        image: Shape (C, I, J, K).
        values: Shape (n,).

    Returns:
        Shape (C + n, I, J, K).
    """
    planes = np.broadcast_to(values[:, None, None, None], (len(values), *image.shape[1:]))
    return np.concatenate([image, planes], dtype=np.float32)
