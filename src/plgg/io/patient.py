"""What is known of a patient besides the scan, as numbers. Knows nothing of who uses them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PATIENT_INPUTS = ("age_decades", "age_known", "male", "sex_known")


def male(sex: str | None) -> float:
    """1 or 0 by any word that begins with m or f, NaN where that is unknown."""
    return {"m": 1.0, "f": 0.0}.get((sex or "").strip()[:1].lower(), np.nan)


def patient_inputs(age_years: float | None, sex: str | None) -> NDArray[np.float32]:
    """Age and sex in the order of `PATIENT_INPUTS`, shape (4,); 0 where unknown, which is told."""
    values = (np.nan if age_years is None else age_years / 10.0, male(sex))
    pairs = [(0.0, 0.0) if np.isnan(value) else (value, 1.0) for value in values]
    return np.array(pairs, dtype=np.float32).ravel()
