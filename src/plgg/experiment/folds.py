"""`train_folds`: a run for each fold of a cohort, calibrated together: one model in one folder.

Every patient is predicted by the run that never saw it; from these answers come the threshold, the
temperature, the interval of the volume and the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plgg.config import Config
from plgg.core.errors import ConfigError, RunError
from plgg.core.output import ENSEMBLE, output_folder
from plgg.core.progress import Watch
from plgg.data.ensemble_folder import (
    FILE,
    OUT_OF_FOLD,
    EnsembleRecord,
    is_ensemble,
    member_runs,
    read_ensemble,
    write_ensemble,
)
from plgg.data.folds import fold_splits
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.evaluate.evaluation import Evaluation
from plgg.experiment.scoring import calibrate_runs, evaluate_cases, predict_cases
from plgg.model.checkpoint import read_meta
from plgg.predict.ensemble import build_ensemble
from plgg.predict.scan import Predictor
from plgg.report.model_card import write_model_card
from plgg.train.run import train
from plgg.train.tracking.follow import Tracking, tracked
from plgg.train.unseen import require_unseen


def train_folds(
    store: Store,
    out: Path,
    config: Config,
    n_folds: int,
    *,
    watch: Watch,
    tracking: Tracking | None = None,
) -> Evaluation:
    """Train an ensemble, or resume its training.

    Args:
        store: The preprocessed cohort.
        out: The ensemble's folder.
        config: All settings.
        n_folds: How many runs.
        watch: Told of the progress.
        tracking: Trackers of the training curves.

    Returns:
        The evaluation of the runs on patients that they were not trained on.

    Raises:
        ConfigError: If there are too few patients, or the store does not fit.
        RunError: If the folder holds another ensemble, or a case could not be predicted.
        OutputError: If another process writes there, or something else is in its place.
    """
    splits = fold_splits(store, n_folds, seed=config.seed, test=False)
    record = EnsembleRecord(
        members=tuple(f"fold-{k}" for k in range(n_folds)), folds=n_folds, seed=config.seed
    )
    configs = _initial_configs(store, config, splits)
    with output_folder(out, ENSEMBLE):
        if is_ensemble(out) and read_ensemble(out) != record:
            raise RunError(
                "holds an ensemble of other folds",
                where=out / FILE,
                remedy="Choose another --run folder, or repeat the command that began it.",
            )
        write_ensemble(out, record)
        runs = [out / name for name in record.members]
        for number, (run, own, split) in enumerate(
            zip(runs, configs, splits, strict=True), start=1
        ):
            label = f"fold {number} of {n_folds}"
            with (
                watch.training(label) as listener,
                tracked(run, tracking or Tracking(), listener, name=label, arm=config.arm) as told,
            ):
                train(store, run, own, split, listener=told)
        return _score(store, out, runs, splits, watch)


def _initial_configs(store: Store, config: Config, splits: Sequence[Split]) -> list[Config]:
    """Settings of each fold's run; from an initial ensemble, each starts from its own fold's run.

    It then uses the seed after that run's, so that the patches differ however often the ensemble
    is continued.

    Raises:
        ConfigError: If the initial weights of a run were trained on its validation patients.
    """
    first = config.init.run
    if first is None:
        return [config] * len(splits)
    goes_on = is_ensemble(Path(first))
    runs = member_runs([Path(first)]) if goes_on else [Path(first)] * len(splits)
    if len(runs) != len(splits):
        raise ConfigError(
            f"is an ensemble of {len(runs)} folds, and {len(splits)} are wanted",
            where=first,
            remedy="Give --folds, --seed and the store that it was made with.",
        )
    for run, split in zip(runs, splits, strict=True):
        require_unseen(store, run, split)
    starts = []
    for run in runs:
        seed = read_meta(run).config.seed + 1 if goes_on else config.seed
        init = config.init.model_copy(update={"run": str(run)})
        starts.append(config.model_copy(update={"init": init, "seed": seed}))
    return starts


def _score(
    store: Store, out: Path, runs: Sequence[Path], splits: Sequence[Split], watch: Watch
) -> Evaluation:
    """Calibrate the runs together, then predict and evaluate every patient out of fold."""
    labels = [f"fold {number}" for number in range(1, len(runs) + 1)]
    by_run = dict(zip(runs, splits, strict=True))
    members = calibrate_runs(store, by_run, watch, scratch=out, labels=labels)
    names = [name for split in splits for name in split.validation]
    predictions = out / "predictions" / OUT_OF_FOLD
    for label, member, split in zip(labels, members, splits, strict=True):
        with watch.task(f"{label}: predicting its patients") as progress:
            one = Predictor(build_ensemble([member]))
            predict_cases(one, store, split.validation, predictions, progress)
    with watch.task("evaluating") as progress:
        found = evaluate_cases(
            store, names, predictions, out / "evaluation" / OUT_OF_FOLD, progress
        )
    write_model_card(out)
    return found
