"""The clinical-only baseline: logistic regression on the training patients.

It is fitted to the training part, as the network is, so that both are evaluated on patients that
neither has seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plgg.data.calibration import ClinicalModel
from plgg.data.store import Store
from plgg.measure.clinical import (
    CLINICAL_INPUTS,
    Inputs,
    clinical_inputs,
    inputs_without_mask,
    standardise,
)

FEWEST_SCANS = 10
FEWEST_OF_A_CLASS = 2
# scikit-learn's C: a normal prior of variance 0.1 on each standardised coefficient. On 86 adults
# with lower-grade glioma, 40 splits, it names held-out scans with 0.86 nats; 0.92 at a variance of
# 1 and 0.89 at 0.03. Fixed, because a dozen scans a class cannot choose it.
_STRENGTH = 0.1


def fit_clinical(
    rows: Inputs, truth: NDArray[np.int64], classes: Sequence[str]
) -> ClinicalModel | None:
    """Multinomial logistic regression with a ridge of fixed strength.

    Classes are not weighted, so that the probabilities are calibrated and include how common each
    class is.

    Args:
        rows: Inputs of each scan as `plgg.measure.clinical` gives them, shape (n, 6).
        truth: Class indices, shape (n,).
        classes: The network's, in its order.

    Returns:
        The model; None for fewer than 10 scans, 2 of any class, or 2 classes.
    """
    counts = np.bincount(truth, minlength=len(classes))
    if len(truth) < FEWEST_SCANS or len(classes) < 2 or counts.min() < FEWEST_OF_A_CLASS:
        return None
    means, scales = _moments(rows)
    coefficients, intercepts = _regression(standardise(means, scales, rows), truth)
    return ClinicalModel(
        classes=tuple(classes),
        inputs=CLINICAL_INPUTS,
        means=_floats(means),
        scales=_floats(scales),
        coefficients=tuple(_floats(row) for row in coefficients),
        intercepts=_floats(intercepts),
        n=len(truth),
    )


def _moments(rows: Inputs) -> tuple[Inputs, Inputs]:
    """Mean and standard deviation of known values; 0 if none is known, 1 if they are constant."""
    known = np.isfinite(rows)
    n = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, rows, 0.0).sum(axis=0) / n
    scales = np.sqrt(np.where(known, np.square(rows - means), 0.0).sum(axis=0) / n)
    return means, np.where(scales > 1e-9, scales, 1.0)


def _regression(x: Inputs, truth: NDArray[np.int64]) -> tuple[Inputs, Inputs]:
    """Coefficients, one row a class, and intercepts."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=_STRENGTH, max_iter=1000).fit(x, truth)
    if len(fitted.classes_) == 2:
        # Of two classes scikit-learn keeps the log odds of the second.
        half = np.array([[-0.5], [0.5]])
        return half @ fitted.coef_, (half @ fitted.intercept_[None])[:, 0]
    return fitted.coef_, fitted.intercept_


def _floats(values: Inputs) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def fit_clinical_of(
    store: Store, case_ids: Sequence[str], classes: Sequence[str]
) -> ClinicalModel | None:
    """Fit the baseline to scans whose marker and at least one input are known.

    Raises:
        StoreError: If a case cannot be read.
    """
    places = {name: number for number, name in enumerate(classes)}
    known = [name for name in case_ids if store.by_id[name].marker in places]
    rows = np.array([_inputs(store, name) for name in known]).reshape(-1, len(CLINICAL_INPUTS))
    truth = np.array([places[store.by_id[name].marker or ""] for name in known], dtype=np.int64)
    told = np.isfinite(rows).any(axis=1)
    return fit_clinical(rows[told], truth[told], classes)


def _inputs(store: Store, case_id: str) -> Inputs:
    case, mask = store.by_id[case_id], store.mask(case_id)
    if mask is None:
        return inputs_without_mask(age_years=case.age_years, sex=case.sex)
    affine = np.array(store.placement(case_id).box_affine)
    return clinical_inputs(mask, affine, age_years=case.age_years, sex=case.sex)
