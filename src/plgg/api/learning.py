"""Training: networks, ensembles, fine-tuning on corrections, experiments, transfer, demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plgg.config import Config, with_settings
from plgg.core import paths as typed_paths
from plgg.core.errors import ConfigError, ManifestError
from plgg.core.progress import Silent, Watch
from plgg.data.installed_models import model_folders

if TYPE_CHECKING:
    from plgg.data.store import Store
    from plgg.evaluate.evaluation import Evaluation
    from plgg.evaluate.rounds import RoundComparison
    from plgg.experiment.options import Design, TransferOptions
    from plgg.experiment.run import ExperimentOutcome
    from plgg.experiment.transfer import TransferOutcome

SILENT = Silent()


def train(  # noqa: PLR0913 - as the command
    store: Path,
    run: Path,
    config: Config,
    *,
    split: int = 0,
    folds: int | None = None,
    devices: int = 1,
    nodes: int = 1,
    track: Sequence[str] = (),
    watch: Watch = SILENT,
) -> dict[str, Evaluation]:
    """Train one arm on one split, then predict and evaluate its validation and test parts.

    With `folds`, train a run for each fold of the cohort instead; they are one model, which
    `predict` takes as such, and each patient is evaluated by the run that never saw it.

    Args:
        store: The preprocessed cohort.
        run: The run folder.
        config: All settings.
        split: Number of the split.
        folds: How many folds, for an ensemble.
        devices: Processes that share every batch on each machine, one for each device.
        nodes: Machines, as started by SLURM or torchrun.
        track: Trackers that show the curves of `metrics.jsonl`, too: tensorboard, mlflow.
        watch: Told of the progress.

    Returns:
        The evaluation of each part; nothing in processes other than the first.

    Example:
        >>> evaluations = api.train(folder / "store", folder / "run", config)
        >>> sorted(evaluations)
        ['test', 'validation']
    """
    typed_paths.require_store(store)
    typed_paths.require_run(config.init.run)
    typed_paths.require_output(run)
    from plgg.data.split import make_split
    from plgg.data.store import Store
    from plgg.evaluate.evaluation import read_evaluation
    from plgg.train.tracking.follow import choose_trackers, tracked

    tracking = choose_trackers(track, group=run.resolve().name if folds else "")
    cohort = Store(store)
    if folds is not None:
        if devices > 1 or nodes > 1:
            raise ConfigError("folds are trained on one device", remedy="Leave out --devices.")
        from plgg.data.ensemble_folder import OUT_OF_FOLD
        from plgg.experiment.folds import train_folds

        _report_store_warnings(cohort, watch)
        found = train_folds(cohort, run, config, folds, watch=watch, tracking=tracking)
        return {OUT_OF_FOLD: found}
    drawn = make_split(cohort.cohort.cases, k=split, seed=config.seed)
    from plgg.experiment.scoring import PARTS, score_run
    from plgg.train.distributed import join_process_group
    from plgg.train.run import train as train_run

    team = join_process_group(config.precision, devices=devices, nodes=nodes)
    if not team.is_main:
        train_run(cohort, run, config, drawn, group=team)
        return {}
    _report_store_warnings(cohort, watch)
    with (
        watch.training(config.arm) as listener,
        tracked(run, tracking, listener, name=run.resolve().name, arm=config.arm) as told,
    ):
        train_run(cohort, run, config, drawn, group=team, listener=told)
    score_run(cohort, run, drawn, watch, label=config.arm)
    return {part: read_evaluation(run / "evaluation" / part) for part in PARTS}


def fine_tune(
    model: Path | Sequence[Path] | None,
    manifest: Path,
    out: Path,
    *,
    store: Path | None = None,
    held_out: Sequence[str] = (),
    settings: Sequence[str] = (),
    workers: int = 1,
    watch: Watch = SILENT,
) -> RoundComparison:
    """Fine-tune a model on corrected masks; the new model is used only if it is not worse.

    Every network of the model is fine-tuned in few steps, and both models are compared on patients
    that neither was trained on. An accepted model is `out/run`; otherwise the old one stays in use.
    The old model's folder is only read. An interrupted call is resumed by the same call.

    Args:
        model: As `predict` takes it.
        manifest: The corrected scans, in the order of their correction: `patient_id`, `flair`,
            `mask` and whatever else is known.
        out: Folder of the round.
        store: Store that the model was trained on; its training patients are then used again beside
            the corrected ones, and its other patients are compared, too.
        held_out: Scans of the manifest whose patients are compared, and never trained on; by
            default every third patient, the first included. Later rounds must hold out the same
            ones.
        settings: `key=value` settings of the fine-tuning, such as `optimiser.epochs=8`.
        workers: Processes that preprocess; 0 for this one.
        watch: Told of the progress.

    Returns:
        The comparison, as `out/comparison.json` holds it.

    Raises:
        InputError: If fewer than 2 patients are left to learn from, or fewer than 2 are held out.
        PlggError: If model, store and corrections do not fit together.

    Example:
        >>> found = api.fine_tune(
        ...     folder / "run",
        ...     folder / "patients" / "manifest.csv",
        ...     folder / "round",
        ...     held_out=[case.case_id for case in cases[:2]],
        ...     settings=["optimiser.epochs=1"],
        ...     workers=0,
        ... )
        >>> found.n_training, found.n_validation
        (4, 2)
        >>> (folder / "round" / "run").is_dir() == found.accepted
        True
    """
    typed_paths.require_there([manifest], error=ManifestError)
    if store is not None:
        typed_paths.require_store(store)
    models = model_folders(model)
    for one in models:
        typed_paths.require_run(one)
    typed_paths.require_output(out)
    from plgg.experiment.fine_tune import fine_tune_model

    return fine_tune_model(
        models,
        manifest,
        out,
        store=store,
        held_out=held_out,
        settings=settings,
        workers=workers,
        watch=watch,
    )


def experiment(
    store: Path,
    out: Path,
    config: Config,
    *,
    design: Design | None = None,
    watch: Watch = SILENT,
) -> ExperimentOutcome:
    """Train, evaluate and compare every arm on every split, with every seed.

    Args:
        store: The preprocessed cohort.
        out: The experiment's folder.
        config: Settings that the arms start from.
        design: Splits, seeds, arms and workers; by default those of the paper.
        watch: Told of the progress.

    Returns:
        The report's path, and the runs that failed.

    Raises:
        PlggError: If something does not fit together; nothing has been run then.

    Example:
        >>> from plgg.experiment.options import Design
        >>> done = api.experiment(
        ...     folder / "store", folder / "experiment", config, design=Design(splits=1)
        ... )
        >>> done.report.name, done.failed
        ('report.html', {})
    """
    typed_paths.require_store(store)
    typed_paths.require_run(config.init.run)
    typed_paths.require_output(out)
    from plgg.data.store import Store
    from plgg.experiment.arms import require_no_overlap, resolve_arms
    from plgg.experiment.grid import parse_grid
    from plgg.experiment.options import Design
    from plgg.experiment.plan import Plan
    from plgg.train.tracking.follow import choose_trackers

    design = design or Design()
    grid = parse_grid(design.grid)
    require_no_overlap(design.defined, grid)
    out = out.resolve()
    tracking = choose_trackers(design.track, group=out.name)
    plan = Plan(
        Store(store),
        out,
        config,
        resolve_arms(design.arms, design.defined, config),
        design.folds or design.splits,
        design.command,
        folds=design.folds is not None,
        n_seeds=design.seeds,
        grid=grid,
        workers=design.workers,
        tracking=tracking,
    )
    from plgg.experiment.run import run_experiment

    _report_store_warnings(plan.store, watch)
    return run_experiment(plan, watch)


def transfer(
    stores: tuple[Path, Path] | None,
    out: Path,
    config: Config,
    *,
    course: TransferOptions,
    watch: Watch = SILENT,
) -> TransferOutcome:
    """Train on one cohort, test on another, fine-tune there, and test back at home.

    Args:
        stores: Store of the source cohort and of the target cohort; None makes synthetic ones.
        out: The experiment's folder.
        config: Settings of all training.
        course: Splits, fine-tuning, and the number of synthetic patients.
        watch: Told of the progress.

    Returns:
        The report's path, and the runs that failed.

    Raises:
        PlggError: If something does not fit together; nothing has been trained then.

    Example:
        >>> from plgg.experiment.options import TransferOptions
        >>> adults = settings.model_copy(update={"population": "adult", "seed": 4})
        >>> _ = api.phantom(folder / "adults", adults)
        >>> _ = api.preprocess(
        ...     folder / "adults" / "manifest.csv", folder / "adult-store", config, workers=0
        ... )
        >>> stores = folder / "adult-store", folder / "store"
        >>> done = api.transfer(stores, folder / "transfer", config, course=TransferOptions())
        >>> done.report.name, done.failed
        ('report.html', {})
    """
    for store in stores or ():
        typed_paths.require_store(store)
    typed_paths.require_run(config.init.run)
    typed_paths.require_run(with_settings(config, course.tuning).init.run)
    typed_paths.require_output(out)
    from plgg.data.store import Store
    from plgg.experiment.transfer import make_stores, run_transfer, transfer_of

    out = out.resolve()
    if stores is None:
        home, away = make_stores(out, config, course, watch)
    else:
        home, away = map(Store, stores)
        _report_store_warnings(home, watch)
        _report_store_warnings(away, watch)
    return run_transfer(transfer_of(home, away, out, config, course), watch)


def _report_store_warnings(store: Store, watch: Watch) -> None:
    """Report how many warnings the data check had when a store was made."""
    warned = store.cohort.warned()
    if warned:
        watch.say(f"{store.folder}: {warned} when it was made, see {store.folder / 'qc.html'}")


def demo(
    out: Path,
    *,
    seed: int = 0,
    patients: int = 120,
    unseen: int = 40,
    settings: Sequence[str] = (),
    watch: Watch = SILENT,
    command: str = "plgg demo",
) -> Path:
    """Run the whole pipeline on synthetic patients, offline; returns the report's path.

    Args:
        out: Folder for everything; finished pieces in it are kept.
        seed: Of patients and training.
        patients: Number of patients for training and test.
        unseen: Number of further patients to predict.
        settings: `key=value` settings that replace the demo's.
        watch: Told of the progress.
        command: What the user typed, for the report.

    Example:
        >>> report = api.demo(
        ...     folder / "demo",
        ...     patients=6,
        ...     unseen=2,
        ...     settings=["grid.spacing_mm=8", "optimiser.epochs=1", "patches.size=[16,16,16]"],
        ... )
        >>> report.is_file()
        True
    """
    typed_paths.require_output(out)
    from plgg.experiment.demo import run_demo

    size = (patients, unseen)
    return run_demo(out, seed=seed, size=size, settings=settings, watch=watch, command=command)
