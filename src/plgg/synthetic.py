"""Synthetic patients as a store, ready to be learnt from. Offline.

What the demo and the transfer experiment have in common, and the latter's settings, which two cores
can bear.
"""

from __future__ import annotations

import os
from pathlib import Path

from plgg.check import check_manifest
from plgg.config import Config
from plgg.errors import InputError
from plgg.io.manifest import read_manifest
from plgg.io.store import Store
from plgg.phantom import PhantomSettings, make_cohort
from plgg.preprocess.cohort import preprocess_cohort
from plgg.watch import Watch

# Voxels of 3 mm and a few hundred steps: what two cores can do in ten minutes. The cross-entropy
# helps where steps are few.
SETTINGS = (
    "grid.spacing_mm=3",
    # Synthetic heads are made in the atlas' space; registering them would only take time.
    "preprocess.registration=centre",
    "patches.size=[56,64,48]",
    "optimiser.epochs=22",
    "optimiser.learning_rate=0.0015",
    "loss.voxel_weight=1",
    "model.marker.dropout=0.5",
    "validate_every=4",
)


def make_patients(folder: Path, settings: PhantomSettings, watch: Watch) -> Path:
    """Make a cohort, or keep what is there of it; gives its manifest."""
    with watch.task(f"making {settings.n_patients} synthetic patients") as progress:
        make_cohort(folder, settings, workers=_workers(), progress=progress)
    return folder / "manifest.csv"


def make_store(manifest: Path, folder: Path, config: Config, watch: Watch) -> Store:
    """Check and preprocess a cohort; every case must come through.

    Raises:
        InputError: If one does not.
    """
    with watch.task("checking them") as progress:
        report = check_manifest(manifest, progress=progress)
    if report.n_errors:
        raise InputError(f"{report.n_errors} errors in the synthetic cohort", where=manifest)
    cases = read_manifest(manifest)
    with watch.task("preprocessing") as progress:
        cohort = preprocess_cohort(cases, folder, config, workers=_workers(), progress=progress)
    if cohort.failed:
        raise InputError(cohort.failed[0].reason, where=manifest)
    return Store(folder)


def _workers() -> int:
    return min(os.cpu_count() or 1, 8)
