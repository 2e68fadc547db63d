"""Uncertainty of a mask: entropy, expected Dice, agreement, and an interval for the volume.

These measures say how certain the networks are, not whether they are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from plgg.data.calibration import VolumeRule
from plgg.data.result import VolumeInterval
from plgg.metrics.overlap import hard_dice

# Lower probabilities are ignored: networks give about 1 % to the whole brain, and the sum of that
# is more than a small tumour.
MIN_PROBABILITY = 0.05


def entropy(probability: NDArray[Any]) -> NDArray[np.float32]:
    """Entropy of tumour or not in bits: 0 where it is certain, 1 at a half (Shannon 1948).

    -p·log₂ p - (1 - p)·log₂(1 - p), float32, of the same shape.

    Args:
        probability: Of tumour, in [0, 1].
    """
    p = np.asarray(probability, dtype=np.float32)
    bits = np.zeros(p.shape, dtype=np.float32)
    # Only uncertain voxels, because most of a scan is certain and logarithms are slow.
    unsure = (p > 0) & (p < 1)
    seen = p[unsure]
    bits[unsure] = np.clip((entr(seen) + entr(np.float32(1) - seen)) / np.float32(np.log(2)), 0, 1)
    return bits


def expected_dice(probability: NDArray[Any], mask: NDArray[np.bool_]) -> float | None:
    """Dice to be expected of the mask: 2 Σ p·m / (Σ p + Σ m); None of an empty mask.

    The Soft Dice Confidence of Borges, Pacheco and Silva (2024). It is close to the mean Dice over
    truths drawn from the probabilities if each of these is exact and voxels are independent given
    the scan. Neither holds: it ranks scans better than it foretells their Dice. Outside the mask,
    probabilities below `MIN_PROBABILITY` are left out: docs/measures.md says why.

    Args:
        probability: Of tumour, in [0, 1].
        mask: Boolean mask of the same shape.
    """
    size = int(np.count_nonzero(mask))
    if not size:
        return None
    inside = float(np.sum(probability[mask], dtype=np.float64))
    outside = float(np.sum(probability[~mask & (probability >= MIN_PROBABILITY)], dtype=np.float64))
    return min(2.0 * inside / (inside + outside + size), 1.0)


def agreement(masks: Sequence[NDArray[np.bool_]]) -> float | None:
    """Mean Dice between all pairs of masks, two empty ones agreeing fully; None for one mask.

    Args:
        masks: Boolean, of one shape.
    """
    pairs = [hard_dice(a, b) for a, b in combinations(masks, 2)]
    return float(np.mean(pairs)) if pairs else None


def volume_interval(volume_ml: float, rule: VolumeRule | None) -> VolumeInterval | None:
    """The interval predicted · exp(±log_ratio); None without a rule, or where no tumour was found.

    An empty mask has no interval, because the rule is a ratio, and 0 times any ratio is 0.

    Args:
        volume_ml: Predicted volume.
        rule: The rule that was fitted to the validation patients.
    """
    if rule is None or volume_ml <= 0:
        return None
    factor = math.exp(rule.log_ratio)
    return VolumeInterval(
        low_ml=round(volume_ml / factor, 4),
        high_ml=round(volume_ml * factor, 4),
        level=rule.level,
        n_patients=rule.n,
    )
