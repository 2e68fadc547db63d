"""The demo: synthetic patients, both arms on one split, unseen patients, a report. Offline.

It runs the same rooms as the real commands; only the settings are chosen to fit ten minutes on two
cores.
"""

from __future__ import annotations

from pathlib import Path

from plgg.config import preset, with_settings
from plgg.errors import InputError, RunError
from plgg.evaluate import evaluate_predictions
from plgg.experiment import Plan, resolve_arms, run_experiment
from plgg.infer.ensemble import ensemble
from plgg.infer.member import load_member
from plgg.infer.predict import Predictor, predict_scans
from plgg.infer.source import find_scans
from plgg.io.manifest import read_manifest
from plgg.phantom import PhantomSettings
from plgg.report.experiment import write_experiment_report
from plgg.synthetic import SETTINGS, make_patients, make_store
from plgg.watch import Watch

N_PATIENTS = 60
N_UNSEEN = 32


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
    patients = PhantomSettings(n_patients=N_PATIENTS, seed=seed)
    store = make_store(
        make_patients(out / "patients", patients, watch), out / "store", config, watch
    )
    arms = resolve_arms(("single", "multitask"), (), config)
    plan = Plan(store, out / "experiment", config, arms, 1, "plgg demo")
    done = run_experiment(plan, watch)
    if done.failed:
        raise RunError(next(iter(done.failed.values())), where=plan.out)
    unseen = PhantomSettings(n_patients=N_UNSEEN, seed=seed + 1_000_000)
    _predict_unseen(plan, make_patients(out / "unseen-patients", unseen, watch), watch)
    return write_experiment_report(plan.out, store=store.folder)


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
