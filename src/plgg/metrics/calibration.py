"""Calibration of probabilities: calibration error, temperature scaling, risk–coverage.

Cohorts may have as few as ten patients; the docstrings say how that affects a result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from plgg.data.calibration import Bin, RiskPoint

Labels = NDArray[np.int64]
Values = NDArray[np.float64]

N_BINS = 10
TEMPERATURES = (0.25, 10.0)
# A probability of 0 would make one wrong answer outweigh all others.
_LEAST = 1e-12


def log_probabilities(probabilities: Values) -> Values:
    """Logarithms of probabilities, at least 1e-12: logits up to a constant of each scan."""
    return np.asarray(np.log(np.maximum(probabilities, _LEAST)), dtype=np.float64)


def apply_temperature(probabilities: Values, temperature: float) -> Values:
    """Apply temperature scaling to probabilities: divide their logits by a temperature.

    Args:
        probabilities: Shape (..., classes), rows sum to 1.
        temperature: Above 1 lowers the confidence, below 1 raises it; the order stays.
    """
    scaled = softmax(log_probabilities(probabilities) / temperature, axis=-1)
    return np.asarray(scaled, dtype=np.float64)


def fit_temperature(logits: Values, truth: Labels) -> float:
    """The temperature of the least negative log likelihood (Guo et al. 2017), within 0.25 to 10.

    Where all of a few scans are classified correctly, or none, the likelihood alone would drive the
    temperature to 0 or to infinity. So one pseudo-scan is added, an average of all scans, for which
    the probabilities at temperature 1 are exactly right. It counts as one scan beside n, and the
    likelihood of the others is never lower than at temperature 1.

    Args:
        logits: Or logarithms of probabilities, finite, shape (n, classes), n at least 1.
        truth: Class indices, shape (n,).

    Returns:
        The temperature; 1 where no temperature changes anything.
    """
    if np.ptp(logits, axis=1).max() < 1e-9:
        return 1.0
    wanted = np.eye(logits.shape[1])[truth] + softmax(logits, axis=1) / len(logits)

    def loss(log_temperature: float) -> float:
        likelihood = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float((wanted * likelihood).sum())

    bounds = tuple(np.log(TEMPERATURES))
    # In 1 / T the loss is convex, so in log T it has one valley.
    from scipy.optimize import minimize_scalar  # It takes a while to load.

    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def negative_log_likelihood(probabilities: Values, truth: Labels) -> float:
    """Mean of -log p of the true class, in nats; p is taken as at least 1e-12.

    Args:
        probabilities: Shape (n, classes), n at least 1.
        truth: Class indices, shape (n,).
    """
    return -float(log_probabilities(probabilities)[np.arange(len(truth)), truth].mean())


def confidence_and_hits(probabilities: Values, truth: Labels) -> tuple[Values, Values]:
    """Probability of the most probable class, and 1 where that is the true one, else 0.

    Args:
        probabilities: Shape (n, classes).
        truth: Class indices, shape (n,).
    """
    hits = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    return probabilities.max(axis=1), hits


def reliability_bins(confidence: Values, hits: Values, *, n_bins: int = N_BINS) -> tuple[Bin, ...]:
    """Mean confidence and accuracy in bins of equal width; bins without scans are left out.

    A bin holds its lower edge; the last one holds 1 as well.

    Args:
        confidence: Probability of the predicted class, shape (n,).
        hits: 1 where it is the true one, else 0.
        n_bins: Bins of [0, 1].
    """
    number = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    return tuple(
        Bin(
            confidence=float(confidence[number == b].mean()),
            accuracy=float(hits[number == b].mean()),
            n=int((number == b).sum()),
        )
        for b in np.unique(number)
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error (Naeini et al. 2015): Σ n |accuracy - confidence| / Σ n.

    In ten bins a dozen scans leave one or two a bin, so that even exact probabilities show an error
    of 0.2 and more: on so few, the likelihood is the better judge.
    """
    gaps = sum(each.n * abs(each.accuracy - each.confidence) for each in bins)
    return gaps / sum(each.n for each in bins)


def risk_coverage(confidence: Values, hits: Values) -> tuple[RiskPoint, ...]:
    """Coverage and risk for each confidence that occurs, the highest first.

    Args:
        confidence: Probability of the predicted class, shape (n,).
        hits: 1 where it is the true one, else 0.
    """
    return tuple(
        RiskPoint(
            threshold=float(threshold),
            coverage=float((confidence >= threshold).mean()),
            risk=float(1.0 - hits[confidence >= threshold].mean()),
        )
        for threshold in np.unique(confidence)[::-1]
    )


def threshold_for_risk(curve: Sequence[RiskPoint], target_risk: float) -> RiskPoint | None:
    """The lowest threshold whose risk is at most the target; None if none is.

    The risk is that of the very scans it is chosen by. Among a dozen, a true risk of twice the
    target passes easily: it is a promise about these scans, and only an estimate for others.

    Args:
        curve: Surest first.
        target_risk: Share of wrong answers that is accepted.
    """
    return next((point for point in reversed(curve) if point.risk <= target_risk), None)
