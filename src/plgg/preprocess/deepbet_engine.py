"""deepbet (Fisch et al. 2024), whose weights come with its package: the default engine.

It runs on the CPU on purpose: a few seconds a scan, the same brain on every machine, and any number
of worker processes. Knows nothing of grids or of files.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.errors import InputError
from plgg.volume import Volume


def brain_by_deepbet(image: Volume) -> NDArray[np.float32]:
    """Share of brain in each voxel of an upright image.

    Args:
        image: Head, or bare brain, at 1 mm with axes R, A, S; 0 is darkness.

    Returns:
        Probabilities in [0, 1] of the image's shape.

    Raises:
        InputError: If deepbet sees no brain at all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Deprecations inside deepbet are none of the user's.
        network = _network()
        try:
            # A copy, as deepbet may write into what it is given.
            share = network.run_model(np.array(image.data, dtype=np.float32, order="C"))
        except (AssertionError, ValueError) as error:  # How deepbet says that nothing was found.
            raise InputError(
                "deepbet found no brain in the scan",
                remedy="Look at the scan: is it a head, and is its orientation right?",
            ) from error
    return np.asarray(share, dtype=np.float32)


@cache
def _network() -> Any:  # noqa: ANN401 - deepbet has no types
    """Both of deepbet's networks, loaded once a process."""
    from deepbet import BrainExtraction  # Brings torch; seconds to import.

    return BrainExtraction(no_gpu=True)
