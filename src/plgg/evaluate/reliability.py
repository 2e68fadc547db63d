"""Whether the probability of the named class can be taken at its word, with an interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plgg.evaluate import statistics
from plgg.evaluate.records import Interval, Reliability
from plgg.evaluate.resamples import Statistic
from plgg.metrics.calibration import N_BINS, confidence_and_hits, reliability_bins, risk_coverage


def summarise_reliability(
    chances: NDArray[np.float64], truth: NDArray[np.int64], over: Callable[[Statistic], Interval]
) -> Reliability:
    """Calibration error, reliability diagram and risk–coverage curve of at least one scan.

    Args:
        chances: Probabilities, shape (n, classes).
        truth: Class indices, shape (n,).
        over: Gives a statistic its interval.
    """
    confidence, hits = confidence_and_hits(chances, truth)
    return Reliability(
        ece=over(statistics.calibration_error(confidence, hits, N_BINS)),
        bins=reliability_bins(confidence, hits),
        curve=risk_coverage(confidence, hits),
    )
