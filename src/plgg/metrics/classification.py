"""Metrics of a classification: AUC, balanced accuracy, F1, confusion.

Own formulas where scikit-learn raises or warns on a class without cases; they also take a
twentieth of its time, which matters for many resamples. The tests compare them with scikit-learn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]


def macro_auc(truth: Labels, probabilities: Probabilities) -> float | None:
    """Macro one-vs-rest AUC; None where no class has both members and others.

    Args:
        truth: Class indices, shape (n,).
        probabilities: Shape (n, classes).
    """
    known = [value for value in class_aucs(truth, probabilities) if value is not None]
    return float(np.mean(known)) if known else None


def class_aucs(truth: Labels, probabilities: Probabilities) -> tuple[float | None, ...]:
    """AUC of each class against the rest, by the rank sum (Hanley and McNeil 1982)."""
    return tuple(_auc(truth == c, probabilities[:, c]) for c in range(probabilities.shape[1]))


def _auc(member: NDArray[np.bool_], score: Probabilities) -> float | None:
    n, others = int(member.sum()), int((~member).sum())
    if not n or not others:
        return None
    # Loading it takes a second, which a prediction need not wait for.
    from scipy.stats import rankdata

    ranks = rankdata(score)
    return float((ranks[member].sum() - n * (n + 1) / 2) / (n * others))


def confusion(truth: Labels, predicted: Labels, n_classes: int) -> tuple[tuple[int, ...], ...]:
    """Counts of scans, the truth in its rows, the predicted class in its columns."""
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (truth, predicted), 1)
    return tuple(tuple(row) for row in counts.tolist())


def balanced_accuracy(truth: Labels, predicted: Labels, n_classes: int) -> float | None:
    """Mean recall over the classes that occur."""
    recalls = [
        float((predicted[truth == c] == c).mean()) for c in range(n_classes) if (truth == c).any()
    ]
    return float(np.mean(recalls)) if recalls else None


def macro_f1(truth: Labels, predicted: Labels, n_classes: int) -> float | None:
    """Mean over classes of 2 TP / (2 TP + FP + FN); classes that nowhere occur are left out."""
    scores = []
    for c in range(n_classes):
        size = int((truth == c).sum() + (predicted == c).sum())
        if size:
            scores.append(2.0 * int(((truth == c) & (predicted == c)).sum()) / size)
    return float(np.mean(scores)) if scores else None
