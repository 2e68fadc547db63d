"""Threshold the probability of tumour into a mask: at a fixed value, or by the expected Dice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.config import EXPECTED_DICE, Threshold
from plgg.measure.components import bounding_slices, label_components
from plgg.measure.uncertainty import MIN_PROBABILITY

DEFAULT_THRESHOLD = 0.5
"""The default threshold: from it on, a voxel is more likely tumour than not."""


def threshold_of(probability: NDArray[Any], rule: Threshold) -> float:
    """The threshold of one scan under a rule.

    A number is returned as it is. `expected-dice` is the threshold at which the expected Dice of
    the mask (`plgg.measure.uncertainty.expected_dice`) is highest, about half of that Dice (Lipton,
    Elkan and Narayanaswamy 2014), so that a faint tumour without any certain voxel is not outlined
    too small. Where no probability reaches 0.5, the threshold is 0.5 and the mask empty.

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
    seen = np.sort(probability[probability >= MIN_PROBABILITY])[::-1]
    if not seen.size or seen[0] < DEFAULT_THRESHOLD:
        return DEFAULT_THRESHOLD
    inside = np.cumsum(seen, dtype=np.float64)
    dice = 2.0 * inside / (np.arange(1, seen.size + 1) + inside[-1])
    return float(seen[np.argmax(dice)])


def outlined(
    probability: NDArray[Any], rule: Threshold, threshold: float | None = None
) -> NDArray[np.bool_]:
    """The mask of one scan under a rule.

    With `expected-dice`, a component is kept only if one of its voxels has a probability of 0.5 or
    more: less likely voxels count only if they are connected to a likely tumour.

    Args:
        probability: Of tumour, in [0, 1], shape (I, J, K).
        rule: A probability, or `expected-dice`.
        threshold: Threshold of the scan, if known from another grid; else that of `threshold_of`.

    Returns:
        Boolean mask of the same shape.
    """
    mask = probability >= (threshold_of(probability, rule) if threshold is None else threshold)
    if rule != EXPECTED_DICE or not mask.any():
        return mask
    box = bounding_slices(mask)
    labels, sizes = label_components(mask[box])
    likely = np.zeros(len(sizes) + 1, dtype=np.bool_)
    likely[labels[probability[box] >= DEFAULT_THRESHOLD]] = True
    likely[0] = False
    mask[box] = likely[labels]
    return mask
