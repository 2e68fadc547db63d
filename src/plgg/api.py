"""One function for each command; the command line and programs call the same.

Imports of the heavy rooms sit inside the functions, so that a check of a manifest does not wait
for the network libraries, and follow the check of what was typed: a wrong path is told at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plgg.config import PRESETS, Arm, Config, preset, with_atlas, with_settings
from plgg.core import paths as typed_paths
from plgg.core.errors import ConfigError, ManifestError
from plgg.core.progress import Silent, Watch
from plgg.predict.options import PredictOptions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from plgg.data.check.report import CheckReport
    from plgg.data.installed_models import InstalledModel
    from plgg.data.layouts.build import Written
    from plgg.data.layouts.listing import Choices
    from plgg.data.manifest import Case
    from plgg.data.store import Cohort, Store
    from plgg.evaluate.compare.records import Comparison, ExperimentComparison
    from plgg.evaluate.compare.statistics import Aim
    from plgg.evaluate.evaluation import Evaluation
    from plgg.evaluate.tasks import Scorer
    from plgg.experiment.options import Course, Design
    from plgg.experiment.run import Done
    from plgg.experiment.transfer import Transferred
    from plgg.export.run import Exported
    from plgg.phantom.settings import PhantomSettings
    from plgg.predict.arrays import Images, Segmentation
    from plgg.predict.engine import Format
    from plgg.predict.scan import Outcome


SILENT = Silent()
EVERYTHING = PredictOptions()


def configure(
    name: str,
    *,
    arm: Arm = "multitask",
    seed: int = 0,
    settings: Sequence[str] = (),
    atlas: str | None = None,
) -> Config:
    """A preset with an arm, a seed, `key=value` settings and an atlas.

    Raises:
        ConfigError: If a name is unknown or a value out of range.

    Example:
        >>> config = api.configure(
        ...     "small",
        ...     settings=[
        ...         "grid.spacing_mm=8",
        ...         "preprocess.registration=centre",
        ...         "preprocess.stripping=none",
        ...         "model.init_filters=8",
        ...         "model.blocks_down=[1,1]",
        ...         "model.blocks_up=[1]",
        ...         "patches.size=[16,16,16]",
        ...         "optimiser.epochs=1",
        ...         "validate_every=1",
        ...     ],
        ... )
        >>> config.arm, config.grid.spacing_mm
        ('multitask', 8.0)
    """
    chosen = preset(name).model_copy(update={"arm": arm, "seed": seed})
    return with_atlas(with_settings(chosen, settings), atlas)


def phantom(
    out: Path, settings: PhantomSettings, *, workers: int = 1, watch: Watch = SILENT
) -> list[Case]:
    """Make a synthetic cohort: `out/manifest.csv` and its images.

    Example:
        >>> from plgg.phantom.settings import phantom_settings
        >>> settings = phantom_settings(n_patients=6, spacing_mm=4.0, seed=3)
        >>> cases = api.phantom(folder / "patients", settings)
        >>> len(cases)
        6
    """
    from plgg.phantom.cohort import make_cohort

    with watch.task("making patients") as progress:
        return make_cohort(out, settings, workers=workers, progress=progress)


def manifest(
    layout: str,
    folder: Path,
    out: Path | None = None,
    *,
    choices: Choices | None = None,
    overwrite: bool = False,
    watch: Watch = SILENT,
) -> Written:
    """Write the manifest of scans in a layout that people have; what is left out is listed.

    Args:
        layout: One of `plgg.data.layouts.build.LAYOUTS`.
        folder: The data.
        out: Where to; by default `manifest.csv` in the working folder.
        choices: Columns, tables and patterns that the user settles.
        overwrite: Whether a manifest of other content may be replaced.
        watch: Told of the progress.

    Raises:
        ConfigError: If there is no such layout.

    Example:
        >>> written = api.manifest("folder", folder / "patients" / "images", folder / "found.csv")
        >>> len(written.cases)
        6
    """
    from plgg.data.layouts.build import LAYOUTS, build_manifest
    from plgg.data.layouts.listing import Choices

    if layout not in LAYOUTS:
        raise ConfigError(
            f"no layout is called {layout!r}", remedy=f"Choose of {', '.join(LAYOUTS)}."
        )
    typed_paths.require_folder(folder, error=ManifestError)
    if choices and choices.labels:
        typed_paths.require_there([choices.labels], error=ManifestError)
    with watch.task("reading scans") as progress:
        return build_manifest(
            LAYOUTS[layout],
            folder,
            out,
            choices=choices or Choices(),
            overwrite=overwrite,
            progress=progress,
        )


def check(manifest: Path, *, scan_gib: float | None = None, watch: Watch = SILENT) -> CheckReport:
    """Validate a cohort; the report lists what was found, errors first.

    Args:
        manifest: Its table.
        scan_gib: GiB that one scan or mask may unpack to; 2 if None.
        watch: Told of the progress.

    Example:
        >>> report = api.check(folder / "patients" / "manifest.csv")
        >>> report.n_patients, report.n_errors
        (6, 0)
    """
    typed_paths.require_there([manifest], error=ManifestError)
    from plgg.data.check.cohort import check_manifest

    with watch.task("checking scans") as progress:
        return check_manifest(manifest, progress=progress, scan_gib=scan_gib)


def preprocess(
    manifest: Path,
    store: Path,
    config: Config,
    *,
    workers: int = 1,
    memory_gib: float | None = None,
    case_minutes: float = 30.0,
    keep_going: bool = True,
    watch: Watch = SILENT,
) -> Cohort:
    """Bring a cohort onto the atlas grid; cases that fail are listed in the result.

    Pictures of all cases are gathered in `STORE/qc.html`. Cases are done in processes of their own:
    one that takes longer than `case_minutes`, or more than its share of the memory, is stopped and
    named. Where `workers` is 0 they are done in this process, without those limits.

    Example:
        >>> cohort = api.preprocess(
        ...     folder / "patients" / "manifest.csv", folder / "store", config, workers=0
        ... )
        >>> len(cohort.cases), cohort.failed
        (6, ())
    """
    from plgg.data.check.table import read_unchecked

    typed_paths.require_there([manifest], error=ManifestError)
    typed_paths.require_atlas(config.preprocess.atlas)
    cases = read_unchecked(manifest)
    from plgg.core.output import STORE, output_folder
    from plgg.preprocess.cohort import preprocess_cohort
    from plgg.report.store_qc import write_store_qc

    with output_folder(store, STORE, inputs=[manifest]):
        with watch.task("preprocessing") as progress:
            cohort = preprocess_cohort(
                cases,
                store,
                config,
                workers=workers,
                memory_gib=memory_gib,
                case_seconds=60.0 * case_minutes,
                keep_going=keep_going,
                progress=progress,
            )
        write_store_qc(store)
    return cohort


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
        track: Who keeps the curves beside `metrics.jsonl`: tensorboard, mlflow.
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

        _say_warned(cohort, watch)
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
    _say_warned(cohort, watch)
    with (
        watch.training(config.arm) as listener,
        tracked(run, tracking, listener, name=run.resolve().name, arm=config.arm) as told,
    ):
        train_run(cohort, run, config, drawn, group=team, listener=told)
    score_run(cohort, run, drawn, watch, label=config.arm)
    return {part: read_evaluation(run / "evaluation" / part) for part in PARTS}


def predict(
    inputs: Sequence[Path],
    *,
    out: Path,
    model: Path | Sequence[Path] | None = None,
    options: PredictOptions = EVERYTHING,
    watch: Watch = SILENT,
) -> list[Outcome]:
    """Predict scans with the best models of runs into `out`, one folder a case, and a summary.

    Args:
        inputs: Stores, manifests, NIfTI files, DICOM folders or zips; the skull may be on.
        out: Where to.
        model: Folder of a training run or of an ensemble, several of them, or the name of an
            installed model; by default the one that is installed.
        options: How.
        watch: Told of the progress.

    Returns:
        An outcome for every scan; those that failed say why.

    Raises:
        PlggError: If the models or the inputs do not fit together.

    Example:
        >>> (outcome,) = api.predict(
        ...     [cases[0].flair], model=folder / "run", out=folder / "predictions"
        ... )
        >>> sorted(outcome.result.marker.probabilities)
        ['BRAF_V600E', 'BRAF_fusion', 'other']
    """
    runs = _model_folders(model)
    _require_prediction(inputs, runs, options)
    typed_paths.require_output(out)
    from plgg.predict.batch import Request, predict_batch

    return predict_batch(Request(tuple(inputs), tuple(runs), out, options), watch)


def segment(
    image: ArrayLike | Images,
    affine: ArrayLike | None = None,
    *,
    model: Path | Sequence[Path] | None = None,
    options: PredictOptions = EVERYTHING,
) -> Segmentation:
    """Outline the tumour of one patient whose images are in memory; nothing is written.

    The way is that of `predict`, gates included, and so is the mask.

    Args:
        image: Array of shape (I, J, K), skull on or off, of the sequence that the model wants
            first; or `{sequence: (array, affine)}`.
        affine: 4×4, from voxel indices to mm, RAS+, as NIfTI and nibabel have it.
        model: As `predict` takes it.
        options: Of these `age_years`, `sex`, `atlas`, `engine`, `settings` and `scan_gib`.

    Returns:
        The mask and the probability on the grid of the image, volume, marker, tasks, verdicts.

    Raises:
        InputError: If an array cannot be used, or a gate refuses the scan.
        PlggError: If the models do not fit together.

    Example:
        >>> import nibabel as nib
        >>> scan = nib.load(cases[0].flair)
        >>> found = api.segment(scan.get_fdata(), scan.affine, model=folder / "run")
        >>> found.mask.shape == scan.shape
        True
        >>> found.volume_ml == outcome.result.volume_ml
        True
    """
    runs = _model_folders(model)
    _require_prediction((), runs, options)
    from plgg.predict.arrays import segment_arrays

    return segment_arrays(image, affine, runs, options)


def _model_folders(model: Path | str | Sequence[Path] | None) -> list[Path]:
    """The folders of models, each named by a path or as one that is installed."""
    from plgg.data.installed_models import model_folder

    if model is None:
        return [model_folder(None)]
    named = [model] if isinstance(model, Path | str) else model
    return [model_folder(Path(one)) for one in named]


def models() -> list[InstalledModel]:
    """The models that are installed; `predict` and `segment` take them by name.

    Example:
        >>> isinstance(api.models(), list)
        True
    """
    from plgg.data.installed_models import installed_models

    return installed_models()


def _require_prediction(
    inputs: Sequence[Path], runs: Sequence[Path], options: PredictOptions
) -> None:
    """Look for all that a prediction was told of."""
    typed_paths.require_there(inputs)
    for run in runs:
        typed_paths.require_run(run)
    typed_paths.require_prior(options.prior)
    typed_paths.require_atlas(options.atlas)


def export(run: Path, fmt: Format, *, out: Path | None = None, watch: Watch = SILENT) -> Exported:
    """Write a run's best network as ONNX, OpenVINO or a MONAI bundle, checked against PyTorch.

    Args:
        run: Folder of a training run.
        fmt: `onnx`, `openvino` or `monai-bundle`.
        out: Folder to write; by default where `predict` looks for other engines.
        watch: Told of the progress.

    Example:
        >>> exported = api.export(folder / "run", "onnx")
        >>> from plgg.predict.options import PredictOptions
        >>> options = PredictOptions(engine="onnx")
        >>> image = scan.get_fdata(), scan.affine
        >>> found = api.segment(*image, model=folder / "run", options=options)
        >>> found.mask.shape == scan.shape
        True
    """
    typed_paths.require_run(run)
    typed_paths.require_output(out)
    from plgg.export.run import export_run

    with watch.task("exporting and comparing with PyTorch"):
        return export_run(run, out, fmt)


def export_model(
    folder: Path, out: Path, *, name: str = "", about: str = "", watch: Watch = SILENT
) -> dict[str, float]:
    """Write a run or an ensemble as one folder to hand on, without any patient in it.

    Args:
        folder: The run or the ensemble.
        out: Folder to write; `predict` takes it as a model.
        name: What the model is called.
        about: What everyone who reads a result of it must know.
        watch: Told of the progress.

    Returns:
        The largest difference of its half-precision answers from the whole ones.

    Example:
        >>> found = api.export_model(folder / "run", folder / "model", name="example")
        >>> max(found.values()) < 0.003
        True
    """
    typed_paths.require_run(folder)
    typed_paths.require_output(out)
    from plgg.export.model import export_model as write_model

    with watch.task("exporting and comparing with the whole precision"):
        return write_model(folder, out, name=name, about=about)


def evaluate(
    predictions: Path,
    truth: Path,
    *,
    out: Path | None = None,
    seed: int = 0,
    scan_gib: float | None = None,
    watch: Watch = SILENT,
) -> Evaluation:
    """Score predictions, of plgg or of any tool, against a manifest's (or a store's) truth.

    Tables and `evaluation.html` are written to `out`; by default that is `evaluation` among the
    predictions.

    Example:
        >>> predictions = folder / "run" / "predictions" / "test"
        >>> evaluation = api.evaluate(predictions, folder / "store", out=folder / "evaluation")
        >>> [row.dice is None for row in evaluation.rows]
        [False]
    """
    typed_paths.require_folder(predictions)
    typed_paths.require_there([truth])
    from plgg.core.output import EVALUATION, require_free
    from plgg.data.budget import scan_limit
    from plgg.data.check.table import read_unchecked
    from plgg.data.store import Store, is_store
    from plgg.evaluate.cohort import evaluate_predictions
    from plgg.report.evaluation import write_evaluation_page

    cases = Store(truth).manifest_cases() if is_store(truth) else read_unchecked(truth)
    folder = out or predictions / "evaluation"
    require_free(folder, EVALUATION, inputs=[truth])
    with scan_limit(scan_gib), watch.task("evaluating") as progress:
        found = evaluate_predictions(
            predictions, cases, out=folder, seed=seed, scorer_of=_scorer_of, progress=progress
        )
    write_evaluation_page(folder)
    return found


def _scorer_of(kind: str) -> Scorer | None:
    """Kinds of tasks bring torch along, which is worth its while only where there are any."""
    from plgg.tasks.kinds import scores_of

    return scores_of(kind)


def compare(
    a: Path,
    b: Path | None = None,
    *,
    metric: str = "dice",
    seed: int = 0,
    baseline: str | None = None,
    aim: Aim | None = None,
) -> Comparison | ExperimentComparison:
    """Compare two sets of results by patient, or the arms of one experiment or CSV table.

    Args:
        a: Results, an experiment or a table.
        b: Results to compare with.
        metric: Column of `cases.csv`, of a task `TASK:METRIC`, such as `age_years:mae`.
        seed: Seed of the bootstrap.
        baseline: Of an experiment, the arm that the others are compared with.
        aim: The gain whose power is told.

    Example:
        >>> single = config.model_copy(update={"arm": "single"})
        >>> _ = api.train(folder / "store", folder / "single", single)
        >>> tests = [folder / run / "evaluation" / "test" for run in ("single", "run")]
        >>> api.compare(*tests).contrasts[0].metric
        'dice'
    """
    from plgg.evaluate.compare.contrast import compare_results
    from plgg.evaluate.compare.experiment import compare_experiment
    from plgg.evaluate.compare.table import compare_table

    if b is not None:
        return compare_results(a, b, metric=metric, seed=seed, aim=aim)
    if a.is_dir():
        return compare_experiment(a, seed=seed, baseline=baseline, aim=aim)
    return compare_table(a, metric=metric, aim=aim)


def experiment(
    store: Path,
    out: Path,
    config: Config,
    *,
    design: Design | None = None,
    watch: Watch = SILENT,
) -> Done:
    """Train, evaluate and compare every arm on every split.

    Args:
        store: The preprocessed cohort.
        out: The experiment's folder.
        config: Settings of the base.
        design: Splits, arms and who does the runs; by default the paper's.
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
    from plgg.experiment.arms import require_own, resolve_arms
    from plgg.experiment.grid import parse_grid
    from plgg.experiment.options import Design
    from plgg.experiment.plan import Plan
    from plgg.train.tracking.follow import choose_trackers

    design = design or Design()
    grid = parse_grid(design.grid)
    require_own(design.defined, grid)
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
        grid=grid,
        workers=design.workers,
        tracking=tracking,
    )
    from plgg.experiment.run import run_experiment

    _say_warned(plan.store, watch)
    return run_experiment(plan, watch)


def transfer(
    stores: tuple[Path, Path] | None,
    out: Path,
    config: Config,
    *,
    course: Course,
    watch: Watch = SILENT,
) -> Transferred:
    """Train on one cohort, test on another, fine-tune there, and test back at home.

    Args:
        stores: Where the model comes from, and where it goes; None makes synthetic cohorts.
        out: The experiment's folder.
        config: Settings of all training.
        course: Splits, fine-tuning, and how many patients to make.
        watch: Told of the progress.

    Returns:
        The report's path, and the runs that failed.

    Raises:
        PlggError: If something does not fit together; nothing has been trained then.

    Example:
        >>> from plgg.experiment.options import Course
        >>> adults = settings.model_copy(update={"population": "adult", "seed": 4})
        >>> _ = api.phantom(folder / "adults", adults)
        >>> _ = api.preprocess(
        ...     folder / "adults" / "manifest.csv", folder / "adult-store", config, workers=0
        ... )
        >>> stores = folder / "adult-store", folder / "store"
        >>> done = api.transfer(stores, folder / "transfer", config, course=Course())
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
        _say_warned(home, watch)
        _say_warned(away, watch)
    return run_transfer(transfer_of(home, away, out, config, course), watch)


def _say_warned(store: Store, watch: Watch) -> None:
    """Repeat, where a job goes on in spite of them, that a check warned of some cases."""
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
) -> Path:
    """Everything from synthetic patients to a report, offline; gives the report's path.

    Args:
        out: Folder for everything; finished pieces in it are kept.
        seed: Of patients and training.
        patients: How many to learn from.
        unseen: How many more to predict.
        settings: `key=value`, other than the demo's.
        watch: Told of the progress.

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
    return run_demo(out, seed=seed, size=size, settings=settings, watch=watch)


def info() -> dict[str, Any]:
    """Versions, machine, device, presets, and the schemas of settings and of `result.json`.

    Example:
        >>> sorted(api.info()["presets"])
        ['best', 'paper', 'small']
    """
    from plgg.core.environment import machine, versions
    from plgg.data.result import Result
    from plgg.model.device import choose_runtime

    return {
        "versions": versions(),
        "machine": machine(),
        "device": choose_runtime().name,
        "presets": {name: config.model_dump(mode="json") for name, config in PRESETS.items()},
        "config_schema": Config.model_json_schema(),
        "result_schema": Result.model_json_schema(),
    }
