"""Whole-tumour masks from masks of several classes.

A mask of 0 and 1 is used where it lies; any other is written anew on the same grid. Knows nothing
of layouts: which labels are no tumour is handed in.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from plgg.errors import InputError
from plgg.io.labels import mask_labels
from plgg.io.nifti import read_volume, write_volume


def whole_tumour(mask: Path, made: Path, *, not_tumour: Collection[int] = ()) -> Path:
    """The mask itself if it is binary; else `made`, with 1 wherever a label is tumour.

    Args:
        mask: Labels; 0 is background.
        made: Where a binary mask is written to (uint8, same affine), if one is needed.
        not_tumour: Labels above 0 that are no tumour.

    Raises:
        InputError: If the mask cannot be read or is none (`mask_labels`).
    """
    volume = read_volume(mask)
    try:
        labels = mask_labels(volume.data)
    except InputError as error:
        raise InputError(error.what, where=mask, remedy=error.remedy) from error
    if set(np.unique(volume.data).tolist()) <= {0.0, 1.0}:
        return mask
    tumour = (labels > 0) & ~np.isin(labels, list(not_tumour))
    write_volume(made, volume.with_data(tumour.astype(np.uint8)))
    return made
