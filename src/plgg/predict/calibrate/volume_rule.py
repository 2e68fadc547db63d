"""The interval of the volume, by split conformal prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plgg.data.calibration import VolumeRule
from plgg.metrics.conformal import conformal_quantile

LEVEL = 0.9


def fit_volume(
    true_ml: NDArray[np.float64],
    predicted_ml: NDArray[np.float64],
    patients: Sequence[str],
    *,
    level: float = LEVEL,
) -> VolumeRule | None:
    """Fit the bound of |log(true / predicted)| that a new patient meets with probability `level`.

    Split conformal prediction (Lei et al. 2018): among n + 1 patients, the new one included, every
    rank is equally likely. Scans of one patient share its weight (Lee, Barber and Willett 2023), so
    that they do not count as several patients. A scan where a volume is 0 has an infinite error.
    Checkpoint and mask rule were chosen on the same patients, which makes the interval a little
    too narrow.

    Args:
        true_ml: True volumes, shape (n,).
        predicted_ml: Predicted ones, by the run's own mask rule.
        patients: The patient of each scan.
        level: Coverage of the interval.

    Returns:
        The rule; None where no finite bound holds: for fewer than 9 patients at 0.9, and where
        more errors are infinite than the interval may miss.
    """
    log_ratio = conformal_quantile(_errors(true_ml, predicted_ml), patients, level=level)
    if log_ratio is None:
        return None
    return VolumeRule(log_ratio=log_ratio, level=level, n=len(set(patients)))


def _errors(true_ml: NDArray[np.float64], predicted_ml: NDArray[np.float64]) -> NDArray[np.float64]:
    known = (true_ml > 0) & (predicted_ml > 0)
    errors = np.full(len(known), np.inf)
    errors[known] = np.abs(np.log(true_ml[known] / predicted_ml[known]))
    return errors
