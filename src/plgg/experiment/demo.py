"""The demo: synthetic patients, both arms on one split, unseen patients, a report. Offline.

The transfer experiment also uses `make_patients` and `make_store`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from plgg.config import Config, preset, with_settings
from plgg.core.errors import InputError, RunError
from plgg.core.output import EXPERIMENT, output_folder
from plgg.core.progress import Watch
from plgg.data.check.cohort import check_manifest
from plgg.data.experiment_folder import arm_folder, unseen_folder, write_about
from plgg.data.manifest import read_manifest
from plgg.data.store import Store
from plgg.evaluate.cohort import evaluate_predictions
from plgg.experiment.arms import resolve_arms
from plgg.experiment.plan import Plan
from plgg.experiment.run import run_experiment
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import PhantomSettings
from plgg.predict.ensemble import build_ensemble
from plgg.predict.member import load_member
from plgg.predict.scan import Predictor, predict_scans
from plgg.predict.source import find_scans
from plgg.preprocess.cohort import preprocess_cohort
from plgg.report.experiment.page import write_experiment_report
from plgg.report.measures import headline


def make_patients(folder: Path, settings: PhantomSettings, watch: Watch) -> Path:
    """Make a synthetic cohort, keeping what exists of it; return the path of its manifest."""
    with watch.task(f"making {settings.n_patients} synthetic patients") as progress:
        make_cohort(folder, settings, workers=_workers(), progress=progress)
    return folder / "manifest.csv"


def make_store(manifest: Path, folder: Path, config: Config, watch: Watch) -> Store:
    """Check and preprocess a cohort; a failed case raises an error.

    Raises:
        InputError: If a case fails.
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


ARMS = ("single", "multitask")
N_PATIENTS, N_UNSEEN = 120, 40
MISSING_MASKS = 0.6
# The marker decides whether a wide bright halo belongs to the tumour, and the sign of the marker
# lies far from the tumour. Outlines alone teach what a halo looks like, but not if it is tumour.
COHORT = PhantomSettings(
    spacing_mm=3.0, halos=1.0, halo_width=0.85, elsewhere=1.0, spot_width=2.2, contrast=3.0
)
DEMO_SETTINGS = (
    "grid.spacing_mm=5",
    # The deepest feature maps are too small for bf16 on a CPU.
    "precision=fp32",
    # Synthetic heads are made in the atlas' space; registering them would only take time.
    "preprocess.registration=centre",
    "patches.size=[32,48,32]",
    "patches.batch=2",
    # Both arms learn from the same batches, half of each with outlines.
    "patches.outlined_share=0.5",
    "patches.augmentation.warp=0.8",
    "patches.augmentation.gamma=0.3",
    "model.stem=2",
    "model.init_filters=8",
    # With one channel a group, segmentation is learnt slowly, or not at all.
    "model.norm_groups=2",
    # The deepest of four levels averages over few voxels, so that the marker's sign is not lost.
    "model.blocks_down=[1,1,1,1]",
    'model.marker.inputs=["average"]',
    "model.marker.dropout=0.5",
    "model.marker.guides_outline=true",
    "loss.marker_weight=0.5",
    "loss.voxel_weight=1",
    "loss.gradients_every=0",
    "optimiser.learning_rate=0.002",
    "optimiser.ema=0.99",
    "optimiser.epochs=24",
    # The few outlined patients of the validation part can choose neither an epoch nor a threshold.
    "validate_every=1000",
    "inference.threshold=0.5",
    "inference.smallest_ml=0",
)
ABOUT = """\
The patients are synthetic, and they are made so that the second task can help. Each tumour has a
bright halo. Whether the halo belongs to the tumour or is oedema around it is decided by the genetic
marker, and nothing in or near the tumour tells which: the sign of the marker, dark spots in deep
grey matter or none, lies elsewhere in the brain.

Of the patients to learn from the marker is always known, the outline of four in ten. The
single-task model sees outlines alone and has to guess whose a halo is. The multitask model is also
taught the marker, so that it learns to look for the sign, and its outline is told what its marker
branch found.

So a gain here shows that the software finds one where there is one. It does not say that there is
one in real patients: of synthetic patients without that link, and of adults with glioma, none was
shown (docs/results.md).
"""


def run_demo(
    out: Path,
    *,
    seed: int,
    watch: Watch,
    size: tuple[int, int] = (N_PATIENTS, N_UNSEEN),
    settings: Sequence[str] = (),
    command: str = "plgg demo",
) -> Path:
    """Make patients, train, compare, predict patients that no model has seen, report.

    Args:
        out: Folder for everything; finished pieces in it are kept.
        seed: Seed of patients and training.
        watch: Told of the progress.
        size: Patients to learn from, and patients that no model has seen.
        settings: `key=value`, other than the demo's.
        command: What the user typed, for the report.

    Returns:
        Path of the report.
    """
    n_patients, n_unseen = size
    small = preset("small").model_copy(update={"seed": seed})
    config = with_settings(small, (*DEMO_SETTINGS, *settings))
    patients = COHORT.model_copy(
        update={"n_patients": n_patients, "seed": seed, "missing_masks": MISSING_MASKS}
    )
    store = make_store(
        make_patients(out / "patients", patients, watch), out / "store", config, watch
    )
    plan = Plan(store, out / "experiment", config, resolve_arms(ARMS, (), config), 1, command)
    with output_folder(plan.out, EXPERIMENT):
        write_about(plan.out, ABOUT)
        done = run_experiment(plan, watch)
    if done.failed:
        raise RunError(next(iter(done.failed.values())), where=plan.out)
    unseen = COHORT.model_copy(update={"n_patients": n_unseen, "seed": seed + 1_000_000})
    manifest = make_patients(out / "unseen-patients", unseen, watch)
    for arm in ARMS:
        _predict_unseen(plan.out, arm, manifest, watch)
    return write_experiment_report(plan.out, store=store.folder)


def _predict_unseen(experiment: Path, arm: str, manifest: Path, watch: Watch) -> None:
    """Predict new patients from their NIfTI files, as for a scan from the clinic."""
    evaluated = unseen_folder(experiment, arm)
    out = evaluated.parent / "predictions"
    predictor = Predictor(build_ensemble([load_member(arm_folder(experiment, 0, arm))]))
    with watch.task(f"predicting unseen patients, {arm}") as progress:
        outcomes = predict_scans(find_scans([manifest]), predictor, out, progress=progress)
    failed = [outcome.reason for outcome in outcomes if outcome.reason]
    if failed:
        raise InputError(f"{len(failed)} unseen patients failed, the first: {failed[0]}")
    with watch.task("evaluating them") as progress:
        evaluation = evaluate_predictions(
            out, read_manifest(manifest), out=evaluated, progress=progress
        )
    watch.say(headline(evaluation.summary))
