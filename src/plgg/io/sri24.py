"""The SRI24 atlas in numbers (Rohlfing et al. 2010), laid out as in BraTS. No image of it."""

from __future__ import annotations

import numpy as np

from plgg.volume import Affine

SHAPE = (240, 240, 155)
# 1 mm; array axes run to the patient's Left, Posterior and Superior.
AFFINE: Affine = np.array([[-1.0, 0, 0, 0], [0, -1.0, 0, 239.0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
# Centre of mass of its brain (tissues > 0), in world mm.
BRAIN_CENTRE_MM = np.array([-118.8, 104.3, 77.0])
