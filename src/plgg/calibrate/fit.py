"""The whole `Calibration` of a run, from its raw predictions of the validation patients.

Every part is fitted by a file of its own beside this one; here they are put together. Equal inputs
give equal records.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from plgg.calibrate.marker import fit_marker
from plgg.calibrate.mask import MaskScores, fit_mask
from plgg.calibrate.options import options_of
from plgg.calibrate.scan import NamedMarker, ValidationScan, read_scan
from plgg.calibrate.training import fit_clinical_of
from plgg.calibrate.volume import fit_volume
from plgg.config import InferenceConfig
from plgg.io.calibration import Calibration, Familiarity, MarkerRule, VolumeRule
from plgg.io.manifest import Case
from plgg.io.store import Store
from plgg.watch import Progress


def fit_calibration(  # noqa: PLR0913 - each part needs its own, and only one place calls it
    predictions: Path,
    cases: Sequence[Case],
    store: Store,
    train_cases: Sequence[str],
    *,
    settings: InferenceConfig,
    model_sha256: str,
    classes: Sequence[str],
    familiarity: Familiarity | None,
    progress: Progress | None = None,
) -> Calibration:
    """Fit everything that the validation patients can teach.

    Args:
        predictions: Raw ones of the validation scans, a folder each.
        cases: These scans, with the truth so far as it is known.
        store: Where the training scans are, for the clinical-only baseline.
        train_cases: Their names.
        settings: Threshold and smallest part are chosen only where these leave them open.
        model_sha256: Of the network's weights.
        classes: Of the marker, in the network's order.
        familiarity: Kept as it is.
        progress: Told after each scan.

    Raises:
        InputError: If a prediction or a true mask is missing, broken, or on another grid.
        StoreError: If a training case cannot be read.
    """
    options = options_of(settings)
    scans: list[ValidationScan] = []
    for case in cases:
        scans.append(read_scan(predictions, case, options, classes))
        if progress:
            progress(len(scans), len(cases))
    masks = [scan.mask for scan in scans if scan.mask]
    mask_rule, chosen = fit_mask(masks, options)
    return Calibration(
        model_sha256=model_sha256,
        mask=mask_rule,
        volume=_volume_rule(masks, chosen),
        marker=_marker_rule([scan.marker for scan in scans if scan.marker], settings.target_risk),
        clinical=fit_clinical_of(store, train_cases, classes),
        familiarity=familiarity,
    )


def _volume_rule(masks: Sequence[MaskScores], chosen: tuple[int, int]) -> VolumeRule | None:
    return fit_volume(
        np.array([scan.true_ml for scan in masks]),
        np.array([scan.volume_ml[chosen] for scan in masks]),
        [scan.patient_id for scan in masks],
    )


def _marker_rule(named: Sequence[NamedMarker], target_risk: float) -> MarkerRule | None:
    return fit_marker(
        np.array([scan.probabilities for scan in named]),
        np.array([scan.truth for scan in named], dtype=np.int64),
        target_risk=target_risk,
    )
