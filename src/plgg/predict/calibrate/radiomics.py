"""Marker prediction without a network: a random forest on radiomics, position, age and sex.

It is fitted to features of the training part under true masks and, where there are predictions by
networks that were not trained on these patients, under predicted masks as well, because predicted
masks are its later input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plgg.data.calibration import ForestModel, Tree
from plgg.data.store import Store
from plgg.measure.radiomics import RADIOMICS_INPUTS, Features, radiomics_inputs
from plgg.predict.calibrate.clinical import FEWEST_OF_A_CLASS, FEWEST_SCANS

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeClassifier

N_TREES = 200
FEWEST_IN_A_LEAF = 3
_DIGITS = 6


def stored_features(store: Store, case_id: str, reference: str) -> Features:
    """Features of a case of a store under its true mask; empty where it has none.

    Raises:
        StoreError: If the case cannot be read.
    """
    case, mask = store.by_id[case_id], store.mask(case_id)
    if mask is None:
        return {}
    (codes,) = store.channels(case_id, (reference,))
    affine = np.array(store.placement(case_id).box_affine)
    return radiomics_inputs(codes, mask, affine, age_years=case.age_years, sex=case.sex)


def fit_forest(
    rows: Sequence[Features], markers: Sequence[str], classes: Sequence[str]
) -> ForestModel | None:
    """A random forest (Breiman 2001) of 200 trees, leaves of three rows or more, fixed seed.

    Args:
        rows: Features of each scan; a scan may have several rows.
        markers: The class of each.
        classes: The network's, in its order.

    Returns:
        The forest; None for fewer than 10 rows, 2 of any class, or 2 classes.
    """
    truth = np.array([list(classes).index(marker) for marker in markers], dtype=np.int64)
    counts = np.bincount(truth, minlength=len(classes))
    if len(truth) < FEWEST_SCANS or len(classes) < 2 or counts.min() < FEWEST_OF_A_CLASS:
        return None
    table = np.array([[row.get(name, np.nan) for name in RADIOMICS_INPUTS] for row in rows])
    means = column_means(table)
    forest = _grown(np.where(np.isfinite(table), table, means), truth)
    return ForestModel(
        classes=tuple(classes),
        inputs=RADIOMICS_INPUTS,
        means=tuple(means.tolist()),
        trees=tuple(_tree(one) for one in forest),
        n=len(truth),
    )


def column_means(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of the known values of each column; 0 for a column without any."""
    known = np.isfinite(table)
    total = np.where(known, table, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(known.sum(axis=0), 1), dtype=np.float64)


def _grown(x: NDArray[np.float64], truth: NDArray[np.int64]) -> list[DecisionTreeClassifier]:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        N_TREES, min_samples_leaf=FEWEST_IN_A_LEAF, max_features="sqrt", random_state=0
    )
    return list(forest.fit(x, truth).estimators_)


def _tree(grown: DecisionTreeClassifier) -> Tree:
    """Convert a fitted tree to its record; leaves have the feature -1."""
    inner: Any = grown.tree_
    leaf = inner.value[:, 0, :]
    leaf = leaf / leaf.sum(axis=1, keepdims=True)
    ends = inner.children_left < 0
    rows = leaf.round(_DIGITS).tolist()
    return Tree(
        feature=tuple(np.where(ends, -1, inner.feature).tolist()),
        threshold=tuple(np.where(ends, 0.0, inner.threshold).tolist()),
        left=tuple(inner.children_left.tolist()),
        right=tuple(inner.children_right.tolist()),
        leaf=tuple(tuple(row) if end else () for row, end in zip(rows, ends, strict=True)),
    )


def fit_forest_of(
    store: Store,
    true_rows: Mapping[str, Features],
    outlined_rows: Mapping[str, Features],
    case_ids: Sequence[str],
    classes: Sequence[str],
) -> ForestModel | None:
    """Fit the forest to the training scans with a known marker and features.

    Args:
        store: Store with the markers of the cases.
        true_rows: Features under true masks, by case.
        outlined_rows: Features under masks by networks not trained on the case, by case.
        case_ids: The training part.
        classes: The network's, in its order.
    """
    rows, markers = [], []
    for case_id in case_ids:
        marker = store.by_id[case_id].marker
        for found in (true_rows.get(case_id), outlined_rows.get(case_id)):
            if found and marker in classes:
                rows.append(found)
                markers.append(str(marker))
    return fit_forest(rows, markers, classes)
