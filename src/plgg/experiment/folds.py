"""`train_folds`: a run for each fold of a cohort, calibrated together: one model in one folder.

Every patient is predicted by the run that never saw it; from these answers come the threshold, the
temperature, the interval of the volume and the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from plgg.config import Config
from plgg.core.errors import RunError
from plgg.core.folders import scratch_folder
from plgg.core.output import ENSEMBLE, output_folder
from plgg.core.progress import Watch
from plgg.data.calibration import write_calibration
from plgg.data.ensemble_folder import (
    FILE,
    OUT_OF_FOLD,
    EnsembleRecord,
    is_ensemble,
    read_ensemble,
    write_ensemble,
)
from plgg.data.folds import fold_splits
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.evaluate.evaluation import Evaluation
from plgg.experiment.scoring import (
    cohort_familiarity,
    evaluate_cases,
    is_calibrated,
    predict_cases,
)
from plgg.predict.calibrate.clinical import fit_clinical_of
from plgg.predict.calibrate.fit import fit_calibration
from plgg.predict.engine import remembering
from plgg.predict.ensemble import ensemble
from plgg.predict.member import Member, load_member, with_calibration
from plgg.predict.scan import Predictor
from plgg.report.model_card import write_model_card
from plgg.train.run import train
from plgg.train.tracking.follow import Tracking, tracked


def train_folds(
    store: Store,
    out: Path,
    config: Config,
    n_folds: int,
    *,
    watch: Watch,
    tracking: Tracking | None = None,
) -> Evaluation:
    """Train, or go on with, an ensemble.

    Args:
        store: The preprocessed cohort.
        out: The ensemble's folder.
        config: All settings.
        n_folds: How many runs.
        watch: Told of the progress.
        tracking: Who keeps their curves.

    Returns:
        How the runs do on patients they never saw.

    Raises:
        ConfigError: If there are too few patients, or the store does not fit.
        RunError: If the folder holds another ensemble, or a case could not be predicted.
        OutputError: If another process writes there, or something else is in its place.
    """
    splits = fold_splits(store, n_folds, seed=config.seed, test=False)
    record = EnsembleRecord(
        members=tuple(f"fold-{k}" for k in range(n_folds)), folds=n_folds, seed=config.seed
    )
    with output_folder(out, ENSEMBLE):
        if is_ensemble(out) and read_ensemble(out) != record:
            raise RunError(
                "holds an ensemble of other folds",
                where=out / FILE,
                remedy="Choose another --run folder, or repeat the command that began it.",
            )
        write_ensemble(out, record)
        runs = [out / name for name in record.members]
        for number, (run, split) in enumerate(zip(runs, splits, strict=True), start=1):
            label = f"fold {number} of {n_folds}"
            with (
                watch.training(label) as listener,
                tracked(run, tracking or Tracking(), listener, name=label, arm=config.arm) as told,
            ):
                train(store, run, config, split, listener=told)
        return _score(store, out, runs, splits, watch)


def _score(
    store: Store, out: Path, runs: Sequence[Path], splits: Sequence[Split], watch: Watch
) -> Evaluation:
    """Calibrate the runs together, then predict and evaluate every patient out of fold."""
    with scratch_folder(out / "calibration") as aside:
        members = _calibrated(store, runs, splits, aside, watch)
    names = [name for split in splits for name in split.validation]
    predictions = out / "predictions" / OUT_OF_FOLD
    for number, (member, split) in enumerate(zip(members, splits, strict=True), start=1):
        with watch.task(f"fold {number}: predicting its patients") as progress:
            one = Predictor(ensemble([member]))
            predict_cases(one, store, split.validation, predictions, progress)
    with watch.task("evaluating") as progress:
        found = evaluate_cases(
            store, names, predictions, out / "evaluation" / OUT_OF_FOLD, progress
        )
    write_model_card(out)
    return found


def _calibrated(
    store: Store, runs: Sequence[Path], splits: Sequence[Split], aside: Path, watch: Watch
) -> list[Member]:
    """Write the calibration of each run: what all patients teach, and its own training cohort.

    Returns:
        The runs' networks, which remember what they answered of their validation patients.
    """
    if all(is_calibrated(run) for run in runs):
        return [load_member(run) for run in runs]
    members, known = [], []
    for number, (run, split) in enumerate(zip(runs, splits, strict=True), start=1):
        loaded = load_member(run, calibrated=False)
        members.append(replace(loaded, engine=remembering(loaded.engine)))
        with watch.task(f"fold {number}: looking at the training cohort") as progress:
            known.append(cohort_familiarity(loaded, members[-1], store, split, progress))
        with watch.task(f"fold {number}: predicting for calibration") as progress:
            one = Predictor(ensemble([members[-1]]))
            predict_cases(one, store, split.validation, aside, progress)
    first = members[0]
    with watch.task("calibrating") as progress:
        common = fit_calibration(
            aside,
            store.manifest_cases([name for split in splits for name in split.validation]),
            store,
            splits[0].train,
            settings=first.config.inference,
            model_sha256=first.model.sha256,
            classes=first.classes,
            familiarity=None,
            tasks=first.tasks,
            progress=progress,
        )
    for run, split, member, familiarity in zip(runs, splits, members, known, strict=True):
        own = {
            "model_sha256": member.model.sha256,
            "familiarity": familiarity,
            "clinical": fit_clinical_of(store, split.train, member.classes),
        }
        write_calibration(run, common.model_copy(update=own))
    return [with_calibration(member) for member in members]
