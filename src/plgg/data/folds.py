"""Stratified folds of a cohort: by patient, balanced by marker, known mask and tumour volume.

In an ensemble, each network validates on one fold and trains on the others. In cross validation,
each fold is the test part once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from plgg.core.errors import ConfigError
from plgg.data.split import Split, patient_markers
from plgg.data.store import Store
from plgg.data.store_records import StoredCase

MIN_FOLDS = 2


def assign_folds(
    cases: Sequence[StoredCase], n_folds: int, *, seed: int, volumes: Mapping[str, float]
) -> dict[str, int]:
    """Assign each patient to a fold, from 0; all scans of a patient are in the same fold.

    Patients are sorted by marker, by whether a mask is known and by tumour volume. Each block of
    `n_folds` patients is distributed over all folds at random, so that fold sizes differ by one at
    most and all three are balanced.

    Args:
        cases: The cohort.
        n_folds: How many.
        seed: Seed of the random assignment.
        volumes: Tumour volume of each case with a mask, in any unit.

    Raises:
        ConfigError: If there are more folds than patients, or fewer than two.
    """
    markers = patient_markers(cases)
    if not MIN_FOLDS <= n_folds <= len(markers):
        raise ConfigError(
            f"{len(markers)} patients cannot be split into {n_folds} folds",
            remedy=f"Choose between {MIN_FOLDS} folds and as many as there are patients.",
        )
    largest: dict[str, float] = {}
    for case in cases:
        known = volumes.get(case.case_id, -1.0)
        largest[case.patient_id] = max(known, largest.get(case.patient_id, -1.0))
    order = sorted(markers, key=lambda name: (markers[name], largest[name], name))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(n_folds,)))
    found: dict[str, int] = {}
    for first in range(0, len(order), n_folds):
        stretch = order[first : first + n_folds]
        found |= zip(stretch, rng.permutation(n_folds)[: len(stretch)].tolist(), strict=True)
    return found


def make_fold_split(
    cases: Sequence[StoredCase], folds: Mapping[str, int], *, k: int, seed: int, test: bool
) -> Split:
    """Make the split in which fold `k` is the test part or the validation part.

    Args:
        cases: The cohort.
        folds: The fold of each patient.
        k: Number of the fold, from 0.
        seed: Seed that the folds were made with.
        test: Whether fold `k` is the test part, and the next one the validation part, for cross
            validation; else it is the validation part, and all others are trained on, for an
            ensemble.

    Raises:
        ConfigError: If nothing would be left to train on.
    """
    n_folds = max(folds.values()) + 1
    if not 0 <= k < n_folds:
        raise ConfigError(f"there is no fold {k} of {n_folds}", remedy="Folds count from 0.")
    if test and n_folds <= MIN_FOLDS:
        raise ConfigError(
            "cross validation needs a fold to train on, one to validate and one to test",
            remedy="Choose at least 3 folds.",
        )
    held = (k + 1) % n_folds if test else k

    def of(fold: int) -> tuple[str, ...]:
        return tuple(sorted(case.case_id for case in cases if folds[case.patient_id] == fold))

    validation, tested = of(held), of(k) if test else ()
    known = {*validation, *tested}
    train = tuple(sorted(case.case_id for case in cases if case.case_id not in known))
    return Split(train=train, validation=validation, test=tested, k=k, seed=seed)


def fold_splits(store: Store, n_folds: int, *, seed: int, test: bool) -> list[Split]:
    """Make a split for each fold of a store, balanced by marker, mask and tumour volume.

    Raises:
        ConfigError: If there are too few patients.
    """
    cases = store.cohort.cases
    folds = assign_folds(cases, n_folds, seed=seed, volumes=_volumes(store))
    return [make_fold_split(cases, folds, k=k, seed=seed, test=test) for k in range(n_folds)]


def _volumes(store: Store) -> dict[str, float]:
    """Tumour volume of each case with a mask, in mL on the store's grid."""
    volumes = {}
    for name in store.by_id:
        mask = store.mask(name)
        if mask is not None:
            volumes[name] = float(mask.sum()) * store.placement(name).box_voxel_ml
    return volumes
