"""Where gliomas lie: named places in MNI space and how often each class is found there.

Frequencies are ours; they follow what is well known of pediatric low-grade glioma. BRAF fusion is
the mark of pilocytic astrocytoma of the cerebellum, the optic pathway and the brainstem (Jones et
al. 2008, Cancer Res; Sievert and Fisher 2009, J Child Neurol). BRAF V600E is found mostly in the
hemispheres, the temporal lobe above all, in ganglioglioma and pleomorphic xanthoastrocytoma
(Schindler et al. 2011, Acta Neuropathol; Lassaletta et al. 2017, J Clin Oncol). Adult low-grade
glioma prefers the frontal lobe and the insula (Duffau and Capelle 2004, Cancer). Knows nothing of
images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.phantom.settings import Marker, Population


@dataclass(frozen=True)
class Place:
    """A region as a centre on the patient's right, in MNI mm, and a spread (standard deviation)."""

    centre_mm: tuple[float, float, float]
    spread_mm: tuple[float, float, float]
    midline: bool = False


PLACES: dict[str, Place] = {
    "cerebellar hemisphere": Place((26, -62, -36), (6, 6, 5)),
    "vermis": Place((0, -60, -30), (3, 6, 5), midline=True),
    "brainstem": Place((0, -28, -30), (2, 2, 7), midline=True),
    "optic pathway": Place((0, 4, -12), (3, 3, 3), midline=True),
    "thalamus": Place((13, -18, 7), (3, 5, 3)),
    "insula": Place((38, 4, 2), (4, 8, 5)),
    "temporal": Place((46, -14, -18), (6, 12, 6)),
    "mesial temporal": Place((28, -14, -20), (4, 8, 4)),
    "frontal": Place((30, 32, 24), (9, 11, 12)),
    "parietal": Place((34, -46, 38), (8, 8, 8)),
    "occipital": Place((24, -78, 10), (6, 6, 8)),
}

_CHILD: dict[Marker, dict[str, float]] = {
    "BRAF_fusion": {
        "cerebellar hemisphere": 34, "vermis": 20, "brainstem": 12, "optic pathway": 16,
        "thalamus": 4, "temporal": 4, "mesial temporal": 2, "frontal": 4, "parietal": 4,
    },
    "BRAF_V600E": {
        "temporal": 30, "mesial temporal": 16, "frontal": 14, "parietal": 12, "occipital": 6,
        "insula": 5, "thalamus": 5, "optic pathway": 3, "brainstem": 4, "cerebellar hemisphere": 5,
    },
    "other": {
        "frontal": 28, "parietal": 18, "thalamus": 18, "insula": 8, "temporal": 9, "occipital": 5,
        "mesial temporal": 3, "brainstem": 5, "cerebellar hemisphere": 4, "vermis": 2,
    },
}  # fmt: skip

_ADULT: dict[Marker, dict[str, float]] = {
    "BRAF_fusion": {
        "cerebellar hemisphere": 20, "brainstem": 14, "thalamus": 20, "frontal": 16, "insula": 10,
        "temporal": 10, "parietal": 10,
    },
    "BRAF_V600E": {
        "temporal": 38, "mesial temporal": 16, "frontal": 14, "parietal": 16, "occipital": 8,
        "insula": 8,
    },
    "other": {
        "frontal": 48, "insula": 22, "temporal": 10, "parietal": 14, "occipital": 3, "thalamus": 3,
    },
}  # fmt: skip

FREQUENCIES: dict[Population, dict[Marker, dict[str, float]]] = {"child": _CHILD, "adult": _ADULT}


def draw_place(
    rng: np.random.Generator, population: Population, marker: Marker
) -> tuple[str, NDArray[np.float64]]:
    """A place for a tumour that looks like one of this class.

    Returns:
        The region's name and a point in MNI's world, in mm.
    """
    frequencies = FREQUENCIES[population][marker]
    shares = np.array(list(frequencies.values()))
    name = str(rng.choice(list(frequencies), p=shares / shares.sum()))
    place = PLACES[name]
    point = rng.normal(place.centre_mm, place.spread_mm)
    if not place.midline and rng.random() < 0.5:
        point[0] = -point[0]
    return name, point
