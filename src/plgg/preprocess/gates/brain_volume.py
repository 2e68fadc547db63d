"""Is the brain as large as brains are at that age?

Measured before registration, in the scan's own millimetres. It doubts, and refuses only what no
brain is: many cohorts were stored without their true voxel size, and registration mends that.
"""

from __future__ import annotations

import numpy as np

from plgg.io.quality import Verdict
from plgg.preprocess.gates.limits import Limits

# Mean volume of brain and ventricles by age, from birth over the growth of the first years to the
# shrinking of old age, and how far healthy brains and those with a tumour lie from it.
_AGE_YEARS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 90.0)
_MEAN_ML = (400.0, 700.0, 900.0, 1050.0, 1250.0, 1350.0, 1400.0, 1350.0, 1200.0)
_SPREAD = (0.65, 1.40)
_POSSIBLE_ML = (200.0, 10000.0)
_ANY_AGE = Limits((600.0, 1950.0), _POSSIBLE_ML, " mL")


def brain_volume(brain_ml: float, age_years: float | None) -> Verdict:
    """Volume against the age's range, or against that of all ages over one where it is unknown."""
    limits = _ANY_AGE if age_years is None else _range(age_years)
    when = "" if age_years is None else f" at {age_years:g} years"
    return Verdict(
        gate="brain-volume",
        status=limits.status(brain_ml),
        value=round(brain_ml, 1),
        limits=limits.words(),
        message=f"a brain of {brain_ml:.0f} mL is implausible{when}",
        remedy="Check the voxel size in the header, and the brain's outline in the picture.",
    )


def _range(age_years: float) -> Limits:
    mean = float(np.interp(age_years, _AGE_YEARS, _MEAN_ML))
    low, high = (round(mean * factor, -1) for factor in _SPREAD)
    return Limits((low, high), _POSSIBLE_ML, " mL")
