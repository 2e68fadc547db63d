"""How well classes are predicted: AUC, balanced accuracy, F1, Brier score, confusion.

Own formulas where scikit-learn raises or warns on a class without cases; they also take a
twentieth of its time, which thousands of resamples need. The tests hold them against scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class MarkerScores:
    """Scores of the marker over scans; None where undefined.

    Attributes:
        auc: Macro average of the one-vs-rest AUC over the classes that have both.
        auc_by_class: AUC of each class against the rest.
        accuracy: Share of scans whose predicted class is the true one.
        balanced_accuracy: Mean recall over the classes that occur.
        f1: Mean F1 over the classes that occur or are predicted.
        brier: Mean over scans of the sum over classes of (p - t)², in [0, 2].
        confusion: Counts, rows truth, columns prediction.
    """

    auc: float | None
    auc_by_class: tuple[float | None, ...]
    accuracy: float | None
    balanced_accuracy: float | None
    f1: float | None
    brier: float | None
    confusion: tuple[tuple[int, ...], ...]


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
    ranks = rankdata(score)
    return float((ranks[member].sum() - n * (n + 1) / 2) / (n * others))


def score_markers(truth: Labels, probabilities: Probabilities) -> MarkerScores:
    """All scores; for no scans everything is None. The most probable class is the predicted one.

    Args:
        truth: Class indices, shape (n,).
        probabilities: Shape (n, classes), rows sum to 1.
    """
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    counts = confusion_matrix(truth, predicted, labels=range(n_classes)) if len(truth) else None
    if counts is None:
        nothing = ((0,) * n_classes,) * n_classes
        return MarkerScores(None, (None,) * n_classes, None, None, None, None, nothing)
    aucs = class_aucs(truth, probabilities)
    brier = np.square(probabilities - np.eye(n_classes)[truth]).sum(axis=1).mean()
    return MarkerScores(
        auc=macro_auc(truth, probabilities),
        auc_by_class=aucs,
        accuracy=float((predicted == truth).mean()),
        balanced_accuracy=balanced_accuracy(truth, predicted, n_classes),
        f1=macro_f1(truth, predicted, n_classes),
        brier=float(brier),
        confusion=tuple(tuple(int(value) for value in row) for row in counts),
    )


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
