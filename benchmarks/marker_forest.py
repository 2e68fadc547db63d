"""What names the marker without a network: the forest against other ways, on the same outlines.

    OMP_NUM_THREADS=1 python benchmarks/marker_forest.py ensemble store

Features of each patient are read from the out-of-fold predictions of an ensemble and from the true
masks of its store. Each way learns from the patients of the other folds, under both outlines, and
names those of its own under the predicted one. Printed: macro AUC and log loss, means over seeds,
on the ensemble's folds and on folds drawn anew (of patients, stratified by marker).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from plgg.data.ensemble_folder import OUT_OF_FOLD, member_runs
from plgg.data.result import read_result
from plgg.data.run_folder import read_part
from plgg.data.store import Store
from plgg.measure.clinical import CLINICAL_INPUTS
from plgg.measure.radiomics import RADIOMICS_INPUTS, SHELLS_MM
from plgg.metrics.calibration import negative_log_likelihood
from plgg.metrics.classification import macro_auc
from plgg.predict.calibrate.radiomics import (
    FEWEST_IN_A_LEAF,
    N_TREES,
    column_means,
    stored_features,
)

SEEDS = range(4)
PARTS = 5
Table = NDArray[np.float64]
NO_SHELLS = tuple(name for name in RADIOMICS_INPUTS if name not in SHELLS_MM)


def forest(seed: int, trees: int = N_TREES) -> RandomForestClassifier:
    """As `plgg.predict.calibrate.radiomics` grows it."""
    return RandomForestClassifier(
        trees, min_samples_leaf=FEWEST_IN_A_LEAF, max_features="sqrt", random_state=seed
    )


@dataclass(frozen=True)
class Way:
    """One way: what learns, from which features, and from which outlines at the test."""

    make: Callable[[int], Any]
    inputs: Sequence[str] = RADIOMICS_INPUTS
    true_at_test: bool = False


WAYS = {
    "forest (ships)": Way(forest),
    "without the shells around the tumour": Way(forest, NO_SHELLS),
    "1000 trees": Way(lambda seed: forest(seed, 1000)),
    "extremely randomised trees": Way(
        lambda seed: ExtraTreesClassifier(500, min_samples_leaf=3, random_state=seed)
    ),
    "logistic regression": Way(
        lambda _: make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=2000))
    ),
    "support vectors": Way(
        lambda seed: make_pipeline(StandardScaler(), SVC(probability=True, random_state=seed))
    ),
    "age, sex, place and volume alone (logistic regression)": Way(
        lambda _: make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000)),
        CLINICAL_INPUTS,
    ),
    "forest, true masks at the test, too": Way(forest, true_at_test=True),
}


@dataclass(frozen=True)
class Cohort:
    """Patients whose marker is known: features by outline, marker, fold, patient."""

    outlined: Table
    true: Table
    marker: NDArray[np.int64]
    fold: NDArray[np.int64]
    patient: NDArray[np.str_]


def read_cohort(ensemble: Path, store: Store) -> Cohort:
    """Of an ensemble that `plgg train --folds` made of the store."""
    rows, predictions = [], ensemble / "predictions" / OUT_OF_FOLD
    for fold, run in enumerate(member_runs([ensemble])):
        for case in read_part(run, "validation"):
            record = store.by_id[case]
            if record.marker is None:
                continue
            found = read_result(predictions / case / "result.json").radiomics
            true = stored_features(store, case, record.reference)
            rows.append((_row(found), _row(true or found), record.marker, fold, record.patient_id))
    outlined, true, markers, folds, patients = map(np.array, zip(*rows, strict=True))
    return Cohort(outlined, true, np.unique(markers, return_inverse=True)[1], folds, patients)


def _row(features: dict[str, float]) -> list[float]:
    return [features.get(name, np.nan) for name in RADIOMICS_INPUTS]


def answers(way: Way, cohort: Cohort, fold: NDArray[np.int64], seed: int) -> Table:
    """Probabilities of each patient by what learnt from the other folds."""
    columns = [RADIOMICS_INPUTS.index(name) for name in way.inputs]
    found = np.zeros((len(fold), cohort.marker.max() + 1))
    for one in np.unique(fold):
        learnt, asked = fold != one, fold == one
        table = np.vstack([cohort.true[learnt], cohort.outlined[learnt]])[:, columns]
        tested = (cohort.true if way.true_at_test else cohort.outlined)[asked][:, columns]
        means = column_means(table)
        model = way.make(seed).fit(
            np.where(np.isfinite(table), table, means), np.tile(cohort.marker[learnt], 2)
        )
        found[asked] = model.predict_proba(np.where(np.isfinite(tested), tested, means))
    return found


def redrawn(cohort: Cohort, seed: int) -> NDArray[np.int64]:
    """Folds drawn anew, patients whole; the outlines stay those of networks that saw nobody."""
    folds = np.zeros(len(cohort.marker), dtype=np.int64)
    drawn = StratifiedGroupKFold(PARTS, shuffle=True, random_state=seed)
    parts = drawn.split(cohort.outlined, cohort.marker, cohort.patient)
    for number, (_, asked) in enumerate(parts):
        folds[asked] = number
    return folds


def main() -> None:
    """Print a table of ways."""
    warnings.simplefilter("ignore")  # scikit-learn's, of what it will do otherwise one day.
    cohort = read_cohort(Path(sys.argv[1]), Store(Path(sys.argv[2])))
    print(f"{len(cohort.marker)} scans\n")
    print("| way | AUC | log loss | AUC, folds drawn anew | log loss |")
    print("|---|---|---|---|---|")
    for name, way in WAYS.items():
        cells = []
        for folds in ([cohort.fold] * len(SEEDS), [redrawn(cohort, seed) for seed in SEEDS]):
            said = [answers(way, cohort, f, seed) for f, seed in zip(folds, SEEDS, strict=True)]
            auc = np.mean([macro_auc(cohort.marker, one) for one in said])
            loss = np.mean([negative_log_likelihood(one, cohort.marker) for one in said])
            cells += [f"{auc:.3f}", f"{loss:.3f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
