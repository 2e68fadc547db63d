"""From the markers named of validation patients to the `MarkerRule`: temperature and abstention."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plgg.io.calibration import MarkerRule
from plgg.metrics.calibration import (
    calibration_error,
    confidence_and_hits,
    fit_temperature,
    log_probabilities,
    negative_log_likelihood,
    reliability_bins,
    risk_coverage,
    widest_within,
    with_temperature,
)

# One number can be fitted to five scans; a threshold on top of it hardly to fewer.
FEWEST_SCANS = 5


def fit_marker(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], *, target_risk: float
) -> MarkerRule | None:
    """Fit the temperature, then choose from which confidence on to answer.

    All numbers after the fit are of the scans it was fitted to, hence a little too good; the test
    patients tell the truth.

    Args:
        probabilities: Of a temperature of 1, shape (n, classes).
        truth: Class indices, shape (n,).
        target_risk: Share of wrong answers that is accepted.

    Returns:
        The rule; None for fewer than 5 scans.
    """
    if len(truth) < FEWEST_SCANS:
        return None
    # Four decimals, so that equal inputs give equal files on all machines.
    temperature = round(fit_temperature(log_probabilities(probabilities), truth), 4)
    scaled = with_temperature(probabilities, temperature)
    before = reliability_bins(*confidence_and_hits(probabilities, truth))
    after = reliability_bins(*confidence_and_hits(scaled, truth))
    curve = risk_coverage(*confidence_and_hits(scaled, truth))
    chosen = widest_within(curve, target_risk)
    return MarkerRule(
        temperature=temperature,
        target_risk=target_risk,
        answer_from=chosen.threshold if chosen else None,
        coverage=chosen.coverage if chosen else 0.0,
        risk=chosen.risk if chosen else None,
        ece_before=calibration_error(before),
        ece_after=calibration_error(after),
        nll_before=negative_log_likelihood(probabilities, truth),
        nll_after=negative_log_likelihood(scaled, truth),
        bins_before=before,
        bins_after=after,
        curve=curve,
        n=len(truth),
    )
