"""Signal of tissues and tumours on FLAIR, before the scanner adds its own.

White matter is 1. Fluid is nulled and dark, grey matter brighter than white, as on any FLAIR;
glioma is brighter still, its cysts darker than the solid part but seldom as dark as free fluid
(their protein shortens T1). Knows nothing of coils or noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from plgg.phantom.grid import Box, box_shape
from plgg.phantom.head import Tissue
from plgg.phantom.lattice import Field3D, noise
from plgg.phantom.plan import Plan
from plgg.phantom.settings import Population
from plgg.phantom.tumour import Tumour

_CYST_FLOOR = 0.05
_HALO_BRIGHTNESS, _HALO_SEE_THROUGH, _HALO_SOFTNESS_MM = 0.35, 0.35, 2.0


@dataclass(frozen=True)
class Contrast:
    """Signal relative to white matter's.

    Attributes:
        grey: Grey matter.
        fluid: Cerebrospinal fluid.
        patchiness: Relative smooth variation within tissue.
    """

    grey: float
    fluid: float
    patchiness: float


def draw_contrast(rng: np.random.Generator, population: Population) -> Contrast:
    """A person's contrast; in adults grey and white matter differ a little less."""
    grey = 1.22 if population == "child" else 1.16
    return Contrast(
        grey=float(np.clip(rng.normal(grey, 0.03), 1.08, 1.35)),
        fluid=float(rng.uniform(0.22, 0.38)),
        patchiness=float(rng.uniform(0.02, 0.04)),
    )


def normal_signal(tissue: Tissue, contrast: Contrast, rng: np.random.Generator) -> Field3D:
    """Signal of the head without its tumour; 0 outside the brain."""
    signal: Field3D = tissue.white + contrast.grey * tissue.grey + contrast.fluid * tissue.fluid
    for spacing in (24.0, 6.0):
        signal *= 1.0 + contrast.patchiness * noise(
            rng, box_shape(), spacing, tissue.raster.points_mm
        )
    return signal


def add_tumour(signal: Field3D, tumour: Tumour, plan: Plan, contrast: Contrast) -> None:
    """Paint a tumour into a signal, in place.

    The border fades over the plan's softness and is half-way at the edge of the mask.
    """
    if tumour.halo_mm is not None:
        _add_halo(signal, tumour.box, tumour.halo_mm, plan, contrast)
    here = signal[tumour.box]
    solid = contrast.grey + plan.brightness * (1.0 + plan.texture * 2.0 * tumour.unevenness)
    rim = np.exp(-(((tumour.depth_mm - 1.5) / 1.5) ** 2))
    wall = 4.0 * tumour.cyst * (1.0 - tumour.cyst)
    solid += plan.rim * np.maximum(rim, wall)
    solid += plan.see_through * (here - contrast.grey)
    cyst = contrast.fluid + _CYST_FLOOR + plan.cyst_signal * (1.0 - contrast.fluid)
    inside = solid + tumour.cyst * (cyst - solid)
    presence = expit(2.0 * tumour.depth_mm / plan.softness_mm)
    signal[tumour.box] = np.where(here > 0, here + presence * (inside - here), 0.0)


def _add_halo(signal: Field3D, box: Box, depth_mm: Field3D, plan: Plan, contrast: Contrast) -> None:
    """Paint what surrounds a tumour: less bright than it, the same whether oedema or tumour."""
    here = signal[box]
    shown = _HALO_SEE_THROUGH * (here - contrast.grey)
    bright = contrast.grey + _HALO_BRIGHTNESS * plan.brightness + shown
    presence = expit(2.0 * depth_mm / _HALO_SOFTNESS_MM)
    signal[box] = np.where(here > 0, here + presence * (bright - here), 0.0)
