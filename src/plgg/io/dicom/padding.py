"""Padding: stored values by which a scanner marks pixels where nothing was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_padding(stored: NDArray[Any], ends: tuple[int, int] | None) -> NDArray[np.bool_]:
    """Which stored values stand for "nothing was measured".

    Args:
        stored: Pixels before rescaling.
        ends: PixelPaddingValue and PixelPaddingRangeLimit, in any order. A header that says 32768
            of signed pixels means -32768, the same 16 bits.
    """
    if ends is None or not np.issubdtype(stored.dtype, np.integer):
        return np.zeros(stored.shape, np.bool_)
    kind = np.iinfo(stored.dtype)
    one, other = ((end - kind.min) % 2**kind.bits + kind.min for end in ends)
    inside = (stored >= min(one, other)) & (stored <= max(one, other))
    return np.asarray(inside, dtype=np.bool_)


def without_padding(data: NDArray[np.float32], padded: NDArray[np.bool_]) -> None:
    """Make padding background, in place: 0, or the lowest value measured where that is negative."""
    if padded.any() and not padded.all():
        data[padded] = min(0.0, float(data.min(where=~padded, initial=np.inf)))
    elif padded.any():
        data[:] = 0.0
