"""What the clinical-only baseline learns from: the training scans of a store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plgg.calibrate.clinical import fit_clinical
from plgg.io.calibration import ClinicalModel
from plgg.io.store import Store
from plgg.measure.clinical import CLINICAL_INPUTS, Inputs, clinical_inputs, unknown_tumour


def fit_clinical_of(
    store: Store, case_ids: Sequence[str], classes: Sequence[str]
) -> ClinicalModel | None:
    """The baseline of those scans whose marker is known and of whom anything else is.

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
        return unknown_tumour(age_years=case.age_years, sex=case.sex)
    affine = np.array(store.placement(case_id).box_affine)
    return clinical_inputs(mask, affine, age_years=case.age_years, sex=case.sex)
