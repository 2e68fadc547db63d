"""Is it a FLAIR? Its contrasts, read off the atlas' tissues once it lies on them.

On a FLAIR fluid is dark, as on a T1, and white matter is no brighter than grey, as on a T2. Where
slices are thick and registration affine the tissues blur into each other, so the limits are wide:
they tell another sequence, not a bad FLAIR.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plgg.io.quality import Verdict
from plgg.preprocess.gates.limits import at_most
from plgg.preprocess.registration.aligned import Aligned

# How much brighter than white matter fluid is, and how like a T1 the tissues are.
FLUID = at_most(0.35, 0.70)
T1_LIKE = at_most(0.45, 0.60)
# Myelin is not there yet: grey and white change places on every sequence.
_MYELINATED_YEARS = 2.0
_PURE = 0.8
_FEWEST = 200


def fluid(aligned: Aligned) -> Verdict:
    """Median of fluid minus median of white matter, in standard deviations of the brain."""
    found = _fluid(aligned)
    return Verdict(
        gate="fluid",
        status="doubtful" if found is None else FLUID.status(found),
        value=None if found is None else round(found, 3),
        limits=FLUID.words(),
        message="whether fluid is dark, as on a FLAIR, could not be told"
        if found is None
        else "fluid is brighter than white matter, as on a T2, not on a FLAIR",
        remedy="Check that the scan is a FLAIR.",
    )


def t1_like(aligned: Aligned, age_years: float | None) -> Verdict:
    """Correlation with the atlas, which is a T1, over grey and white matter away from fluid."""
    found = _t1_like(aligned)
    status = T1_LIKE.status(found)
    if status == "failed" and age_years is not None and age_years < _MYELINATED_YEARS:
        status = "doubtful"
    return Verdict(
        gate="t1-like",
        status=status,
        value=round(found, 3),
        limits=T1_LIKE.words(),
        message="white matter is brighter than grey, as on a T1, not on a FLAIR",
        remedy="Check that the scan is a FLAIR.",
    )


def _fluid(aligned: Aligned) -> float | None:
    if aligned.atlas.csf is None or aligned.atlas.white is None:
        return None
    csf = aligned.scan[aligned.brain & (aligned.atlas.csf > _PURE)]
    white = aligned.scan[aligned.brain & (aligned.atlas.white > _PURE)]
    if min(csf.size, white.size) < _FEWEST:
        return None
    return float(np.median(csf) - np.median(white)) / _spread(aligned)


def _t1_like(aligned: Aligned) -> float:
    tissue = aligned.brain & aligned.atlas.frame.brain
    if aligned.atlas.csf is not None:
        tissue &= aligned.atlas.csf < 1.0 - _PURE
    scan, atlas = aligned.scan[tissue], aligned.atlas.frame.image.data[tissue]
    if scan.size < _FEWEST or scan.std() == 0 or atlas.std() == 0:
        return 0.0
    return float(np.corrcoef(_clipped(scan), _clipped(atlas))[0, 1])


def _clipped(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the tails: a bright tumour must not decide what the sequence is."""
    low, high = np.percentile(values, (2.0, 98.0))
    return np.clip(values, low, high)


def _spread(aligned: Aligned) -> float:
    return max(float(_clipped(aligned.scan[aligned.brain]).std()), 1e-6)
