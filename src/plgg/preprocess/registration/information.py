"""Normalised mutual information of two images, the measure that does not ask for like contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 32
_TAILS = (1.0, 99.0)


def mutual_information(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Studholme's (H(a) + H(b)) / H(a, b): 1 for independent images, 2 for equal ones.

    Args:
        a: Values at some voxels, of any shape.
        b: Values at the same voxels.

    Returns:
        From a joint histogram of 32 × 32 bins between the 1st and the 99th percentile of each; 1
        where there are too few voxels or one is constant.
    """
    if a.size < _BINS:
        return 1.0
    joint = np.zeros((_BINS, _BINS))
    np.add.at(joint, (_binned(a), _binned(b)), 1.0)
    joint /= joint.sum()
    both = _entropy(joint)
    if both == 0.0:
        return 1.0
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / both


def _binned(values: NDArray[Any]) -> NDArray[np.int64]:
    flat = values.ravel()
    low, high = np.percentile(flat, _TAILS)
    width = max(float(high - low), 1e-12)
    bins = (flat - low) * (_BINS / width)
    return np.asarray(np.clip(bins, 0, _BINS - 1), dtype=np.int64)


def _entropy(shares: NDArray[np.float64]) -> float:
    held = shares[shares > 0]
    return float(-np.sum(held * np.log(held)))
