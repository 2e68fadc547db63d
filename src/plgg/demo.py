"""The demo: synthetic patients, both arms on one split, unseen patients, a report. Offline.

It runs the same rooms as the real commands; only the settings are chosen to fit ten minutes on two
cores.
"""

from __future__ import annotations

import os
from pathlib import Path

from plgg.check import check_manifest
from plgg.config import Config, preset, with_settings
from plgg.errors import InputError, RunError
from plgg.evaluate import evaluate_predictions
from plgg.experiment import Plan, resolve_arms, run_experiment
from plgg.infer.ensemble import ensemble
from plgg.infer.member import load_member
from plgg.infer.predict import Predictor, predict_scans
from plgg.infer.source import find_scans
from plgg.io.manifest import read_manifest
from plgg.io.store import Store
from plgg.phantom import PhantomSettings, make_cohort
from plgg.preprocess.cohort import preprocess_cohort
from plgg.report import write_experiment_report
from plgg.watch import Watch

N_PATIENTS = 60
N_UNSEEN = 32
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


def run_demo(out: Path, *, seed: int, watch: Watch) -> Path:
    """Make patients, train, compare, predict patients that no model has seen, report.

    Args:
        out: Folder for everything; finished pieces in it are kept.
        seed: Seed of patients and training.
        watch: Told of the progress.

    Returns:
        Path of the report.
    """
    config = with_settings(preset("small").model_copy(update={"seed": seed}), SETTINGS)
    manifest = _patients(out / "patients", N_PATIENTS, seed, watch)
    store = _store(manifest, out / "store", config, watch)
    arms = resolve_arms(("single", "multitask"), (), config)
    plan = Plan(store, out / "experiment", config, arms, 1, "plgg demo")
    done = run_experiment(plan, watch)
    if done.failed:
        raise RunError(next(iter(done.failed.values())), where=plan.out)
    unseen = _patients(out / "unseen-patients", N_UNSEEN, seed + 1_000_000, watch)
    _predict_unseen(plan, unseen, watch)
    return write_experiment_report(plan.out, store=store.folder)


def _workers() -> int:
    return min(os.cpu_count() or 1, 8)


def _patients(folder: Path, n: int, seed: int, watch: Watch) -> Path:
    settings = PhantomSettings(n_patients=n, seed=seed)
    with watch.task(f"making {n} synthetic patients") as progress:
        make_cohort(folder, settings, workers=_workers(), progress=progress)
    return folder / "manifest.csv"


def _store(manifest: Path, folder: Path, config: Config, watch: Watch) -> Store:
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


def _predict_unseen(plan: Plan, manifest: Path, watch: Watch) -> None:
    """Predict new patients from their NIfTI files, as for a scan from the clinic."""
    out = plan.out / "unseen" / "predictions"
    predictor = Predictor(ensemble([load_member(plan.out / "split-0" / "multitask")]))
    with watch.task("predicting unseen patients") as progress:
        outcomes = predict_scans(find_scans([manifest]), predictor, out, progress=progress)
    failed = [outcome.reason for outcome in outcomes if outcome.reason]
    if failed:
        raise InputError(f"{len(failed)} unseen patients failed, the first: {failed[0]}")
    with watch.task("evaluating them") as progress:
        evaluation = evaluate_predictions(
            out, read_manifest(manifest), out=plan.out / "unseen" / "evaluation", progress=progress
        )
    watch.say(evaluation.headline())
