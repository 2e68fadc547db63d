"""What a picture of a case shows: scan, brain and tumour carried onto the atlas' 2 mm grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.io.atlas import Atlas
from plgg.preprocess.pictures import Panels
from plgg.preprocess.place import Placed
from plgg.preprocess.registration import view_of
from plgg.preprocess.resample import resample, smooth_for
from plgg.volume import Volume, index_map


def panels_of(flair: Volume, mask: Volume | None, placed: Placed, atlas: Atlas) -> Panels:
    """Carry a native scan, skull and all, through a registration, to be drawn over the atlas.

    Args:
        flair: The native scan.
        mask: Its tumour on the same grid, or None.
        placed: Its brain and where that lies.
        atlas: What it was brought to.
    """
    view = view_of(atlas)
    target_mm = float(view.frame.image.spacing_mm[0])
    native_from_grid = index_map(placed.native_to_atlas @ flair.affine, view.grid.affine)

    def carry(data: NDArray[Any]) -> NDArray[np.float32]:
        return resample(data, native_from_grid, view.grid.shape)

    smooth = smooth_for(flair.data, spacing_mm=flair.spacing_mm, target_mm=target_mm)
    return Panels(
        scan=carry(smooth),
        brain=carry(placed.brain) >= 0.5,
        tumour=None if mask is None else carry(mask.data > 0) >= 0.5,
        atlas=view.frame.image.data,
        atlas_brain=view.frame.brain,
        spacing_mm=target_mm,
    )
