"""Overlap of a prediction and the truth: Dice, hard and soft; and the volume of a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def hard_dice(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """2 |P ∩ T| / (|P| + |T|), in [0, 1]; two empty masks agree: 1 (Dice 1945).

    Args:
        prediction: Boolean mask.
        truth: Boolean mask of the same shape.
    """
    size = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    if not size:
        return 1.0
    return 2.0 * int(np.count_nonzero(prediction & truth)) / size


def soft_dice(probability: NDArray[Any], truth: NDArray[np.bool_]) -> float:
    """2 Σ p·t / (Σ p² + Σ t²): equation 2 of the method without its ε; 1 where both are 0.

    Args:
        probability: Probabilities in [0, 1].
        truth: Boolean mask of the same shape.
    """
    inside = probability[truth]
    squares = float(np.sum(np.square(probability, dtype=np.float64)))
    size = squares + float(np.count_nonzero(truth))
    if size == 0.0:
        return 1.0
    return 2.0 * float(np.sum(inside, dtype=np.float64)) / size


def volume_ml(mask: NDArray[np.bool_], *, voxel_volume_ml: float) -> float:
    """Volume of a mask in mL: its voxels times the volume of one."""
    return int(np.count_nonzero(mask)) * voxel_volume_ml
