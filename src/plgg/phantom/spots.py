"""Dark spots in deep grey matter that tell the marker away from the tumour.

Pallidum and dentate nucleus are where iron makes the brain dark (Drayer et al. 1986, AJR). That a
class of tumours goes with it is ours: so what the image says of the marker lies where no outline
looks, and looks like no tumour. Knows nothing of tumours.
"""

from __future__ import annotations

import numpy as np

from plgg.phantom.decoys import add_blob
from plgg.phantom.grid import box_voxel
from plgg.phantom.head import Head, Tissue
from plgg.phantom.lattice import Field3D
from plgg.phantom.settings import Marker

# MNI mm, on the patient's right; each has its like on the left. A fusion has none.
_PLACES: dict[Marker, tuple[float, float, float]] = {
    "BRAF_V600E": (15.0, -56.0, -35.0),  # dentate nucleus
    "other": (21.0, -3.0, -2.0),  # pallidum
}
_WIDTH_MM, _LOSS = (4.5, 6.5), (0.55, 0.8)


def add_spots(
    signal: Field3D,
    tissue: Tissue,
    head: Head,
    *,
    marker: Marker,
    width: float = 1.0,
    rng: np.random.Generator,
) -> None:
    """Paint the spots of a class into a signal, in place, one on each side.

    Args:
        signal: Relative to white matter's.
        tissue: The head's tissues, on its box.
        head: Where the template lies.
        marker: Whose spots.
        width: How wide they are, relative to what is usual.
        rng: The patient's own stream.
    """
    if marker not in _PLACES:
        return
    solid = tissue.grey + tissue.white
    for side in (1.0, -1.0):
        at = np.array(_PLACES[marker]) * (side, 1.0, 1.0) + rng.normal(0.0, 1.0, 3)
        width_mm, loss = width * float(rng.uniform(*_WIDTH_MM)), float(rng.uniform(*_LOSS))
        point = box_voxel(head.patient_point(at))
        add_blob(signal, solid, point, raster=tissue.raster, width_mm=width_mm, signal=-loss)
