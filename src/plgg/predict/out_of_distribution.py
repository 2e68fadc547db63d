"""Detect scans that are unlike a network's training scans, by the network's pooled features.

The measure is the Mahalanobis distance to the training scans (Lee et al. 2018) with a shrunk
covariance (Ledoit and Wolf 2004), because there are fewer scans than features. A network can be
confident on any input, so its own confidence does not show this.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import RunError
from plgg.data.calibration import TrainingDistribution
from plgg.data.quality import Status, Verdict

Features = NDArray[np.float64]
_FEWEST = 10
# Doubtful: beyond the 95th percentile of known scans. Failed: beyond 1.1 times their maximum.
_DOUBTFUL_QUANTILE = 0.95
_FAILED_FACTOR = 1.1


def distances(references: Features, features: Features) -> NDArray[np.float64]:
    """Mahalanobis distances of scans from the references.

    Args:
        references: Features of the training scans, shape (n, features).
        features: Shape (m, features).

    Returns:
        Shape (m,), in standard deviations of the references.
    """
    mean = references.mean(axis=0)
    # Added so that a constant feature does not give an infinite distance.
    scale = references.std(axis=0) + 1e-3 * references.std()
    return _mahalanobis((references - mean) / scale, (features - mean) / scale)


def _mahalanobis(references: Features, features: Features) -> Features:
    """Mahalanobis distances by the covariance of Ledoit and Wolf (2004), (1 - s) S + s μ 1.

    S has as many directions as there are references, and all others have the variance s μ: with
    hundreds of features this takes a hundredth of inverting the covariance, as scikit-learn does.

    Args:
        references: Shape (n, p), of mean 0.
        features: Shape (m, p).
    """
    n, p = references.shape
    gram = references @ references.T
    mean_variance = np.trace(gram) / (n * p)
    total = float((gram**2).sum()) / n**2
    # Distance of the covariance from a multiple of the identity, and its part due to sampling.
    apart = total / p - mean_variance**2
    chance = min((float((np.diag(gram) ** 2).sum()) / n - total) / (p * n), apart)
    shrinkage = chance / apart if chance > 0.0 else 0.0
    values, vectors = np.linalg.eigh(gram)
    real = values > values[-1] * 1e-10
    directions = (references.T @ vectors[:, real]) / np.sqrt(values[real])
    along = features @ directions
    rest = shrinkage * mean_variance
    inside = (along**2 / ((1.0 - shrinkage) * values[real] / n + rest)).sum(axis=1)
    outside = np.maximum((features**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)
    return np.asarray(np.sqrt(inside + outside / max(rest, 1e-12)), dtype=np.float64)


def fit_familiarity(training: Features, unseen: Features) -> TrainingDistribution | None:
    """Fit the distribution of the training scans and the limits of the distance to it.

    Limits come from scans outside the references: the unseen ones, and each training scan against
    all others.

    Args:
        training: Features of the training scans, shape (n, features).
        unseen: Of the validation scans, shape (m, features).

    Returns:
        The distribution; None for fewer than 10 training scans.
    """
    if len(training) < _FEWEST:
        return None
    rounded = np.array([[float(f"{value:.6g}") for value in row] for row in training])
    left_out = [
        distances(np.delete(rounded, i, axis=0), rounded[i : i + 1])[0] for i in range(len(rounded))
    ]
    known = np.array([*left_out, *(distances(rounded, unseen) if len(unseen) else ())])
    return TrainingDistribution(
        references=tuple(tuple(row) for row in rounded.tolist()),
        doubtful_above=round(float(np.quantile(known, _DOUBTFUL_QUANTILE)), 4),
        failed_above=round(float(_FAILED_FACTOR * known.max()), 4),
    )


def familiarity(
    features: Sequence[NDArray[np.float32]], known: Sequence[TrainingDistribution | None]
) -> Verdict | None:
    """The verdict of one or several networks, taken from the network with the median distance.

    Args:
        features: Of the scan, one array a network.
        known: Distribution of each network's training scans; None where it has none.

    Returns:
        The verdict; None where no network has a distribution.
    """
    found = [
        (_distance(seen, cohort), cohort)
        for seen, cohort in zip(features, known, strict=True)
        if cohort is not None
    ]
    if not found:
        return None
    found.sort(key=lambda item: item[0] / item[1].doubtful_above)
    distance, cohort = found[len(found) // 2]
    status = _status(distance, cohort)
    return Verdict(
        gate="familiarity",
        status=status,
        value=round(distance, 3),
        limits=f"good up to {cohort.doubtful_above:.2f}, failed above {cohort.failed_above:.2f}",
        message=_WORDS[status],
        remedy="" if status == "good" else "Look at the outline before you use any of it.",
    )


_WORDS: dict[Status, str] = {
    "good": "the scan is like those that the model was trained on",
    "doubtful": "the scan is unlike most that the model was trained on",
    "failed": "the scan is unlike any that the model was trained on",
}


def _distance(features: NDArray[np.float32], cohort: TrainingDistribution) -> float:
    references = np.array(cohort.references)
    if references.ndim != 2 or len(references) < 2 or references.shape[1] != features.size:
        raise RunError(
            "the calibration's familiarity is of another network",
            where="calibration.json",
            remedy="Repeat the plgg train command: it makes a new one.",
        )
    return float(distances(references, features[None].astype(np.float64))[0])


def _status(distance: float, cohort: TrainingDistribution) -> Status:
    if distance > cohort.failed_above:
        return "failed"
    return "doubtful" if distance > cohort.doubtful_above else "good"
