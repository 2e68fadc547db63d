"""From the probability of tumour to a mask: from a fixed threshold on, or by the expected Dice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.config import EXPECTED_DICE, Threshold
from plgg.measure.components import bounding_slices, parts_of
from plgg.measure.uncertainty import FAINT

PLAIN_THRESHOLD = 0.5
"""From here on a voxel is more likely tumour than not."""


def threshold_of(probability: NDArray[Any], rule: Threshold) -> float:
    """The threshold of one scan under a rule.

    A number is itself. `expected-dice` is where the expected Dice of the mask
    (`plgg.measure.uncertainty.expected_dice`) is highest: about half of what it is there (Lipton,
    Elkan and Naryanaswamy 2014), so that a faint tumour, of which no voxel is certain, is not
    outlined too small. Where no voxel is more likely tumour than not it is 0.5, and the mask empty.

    Args:
        probability: Of tumour, in [0, 1], of any shape.
        rule: A probability, or `expected-dice`.

    Example:
        >>> threshold_of(np.array([0.9, 0.6, 0.35, 0.2]), EXPECTED_DICE)
        0.6
        >>> threshold_of(np.array([0.6, 0.4, 0.35, 0.2]), EXPECTED_DICE)
        0.35
    """
    if rule != EXPECTED_DICE:
        return float(rule)
    seen = np.sort(probability[probability >= FAINT])[::-1]
    if not seen.size or seen[0] < PLAIN_THRESHOLD:
        return PLAIN_THRESHOLD
    inside = np.cumsum(seen, dtype=np.float64)
    dice = 2.0 * inside / (np.arange(1, seen.size + 1) + inside[-1])
    return float(seen[np.argmax(dice)])


def outlined(
    probability: NDArray[Any], rule: Threshold, threshold: float | None = None
) -> NDArray[np.bool_]:
    """The mask of one scan under a rule.

    By the expected Dice, a part counts only if one of its voxels is more likely tumour than not:
    what is merely possible around a tumour may be part of it, apart from it it is none.

    Args:
        probability: Of tumour, in [0, 1], shape (I, J, K).
        rule: A probability, or `expected-dice`.
        threshold: Of the scan, where it is known from another grid; else `threshold_of`.

    Returns:
        Boolean mask of the same shape.
    """
    mask = probability >= (threshold_of(probability, rule) if threshold is None else threshold)
    if rule != EXPECTED_DICE or not mask.any():
        return mask
    box = bounding_slices(mask)
    labels, sizes = parts_of(mask[box])
    likely = np.zeros(len(sizes) + 1, dtype=np.bool_)
    likely[labels[probability[box] >= PLAIN_THRESHOLD]] = True
    likely[0] = False
    mask[box] = likely[labels]
    return mask
