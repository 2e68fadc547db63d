"""From the store's grid back to the patient's own: the inverse of `plgg.preprocess.case`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.io.placement import Placement
from plgg.preprocess.resample import resample
from plgg.volume import Volume


def restore(data: NDArray[Any], placement: Placement) -> Volume:
    """Put an array of the brain box on the native grid, by linear interpolation; 0 outside.

    Args:
        data: Array of shape `placement.box_shape`, such as tumour probabilities.
        placement: As made when the scan was prepared.

    Returns:
        float32 volume with the native shape and affine.
    """
    native = resample(data, placement.box_from_native(), placement.native_shape)
    return Volume(native, np.array(placement.native_affine))
