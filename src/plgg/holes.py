"""Holes of a mask, in two dimensions or three."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def filled(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """A mask with its holes: what no way through faces of voxels leads out of.

    SciPy's `binary_fill_holes` gives the same by growing the outside, which takes longer on a head.

    Args:
        mask: Boolean, of any shape.
    """
    # The margin joins all that is outside into one piece, which holds the first corner.
    labels, _ = ndimage.label(np.pad(mask, 1) == 0)
    inner = (slice(1, -1),) * mask.ndim
    return np.asarray(labels[inner] != labels.flat[0], dtype=np.bool_)
