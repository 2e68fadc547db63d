"""Evaluate predictions against true masks, and compare results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from plgg.core import paths as typed_paths
from plgg.core.errors import ConfigError
from plgg.core.jobs import Workers, require_workers
from plgg.core.progress import Silent, Watch

if TYPE_CHECKING:
    from plgg.evaluate.compare.experiment_records import ExperimentComparison
    from plgg.evaluate.compare.power import PowerTarget
    from plgg.evaluate.compare.records import Comparison
    from plgg.evaluate.evaluation import Evaluation
    from plgg.evaluate.tasks import Scorer

SILENT = Silent()


def evaluate(
    predictions: Path,
    truth: Path,
    *,
    out: Path | None = None,
    seed: int = 0,
    scan_gib: float | None = None,
    workers: Workers = 1,
    watch: Watch = SILENT,
) -> Evaluation:
    """Score predictions, of plgg or of any tool, against a manifest's (or a store's) truth.

    Tables and `evaluation.html` are written to `out`; by default that is `evaluation` among the
    predictions. What is interrupted is taken up by the next call. `workers` processes share the
    cases; `plgg.core.ray_session.RayWorkers` are placed by Ray, here or on a cluster.

    Example:
        >>> predictions = folder / "run" / "predictions" / "test"
        >>> evaluation = api.evaluate(predictions, folder / "store", out=folder / "evaluation")
        >>> [row.dice is None for row in evaluation.rows]
        [False]
    """
    typed_paths.require_folder(predictions)
    typed_paths.require_there([truth])
    require_workers(workers)
    from plgg.core.output import EVALUATION, require_free
    from plgg.data.budget import scan_limit
    from plgg.data.check.table import read_manifest_with_warnings
    from plgg.data.store import Store, is_store
    from plgg.evaluate.cohort import evaluate_predictions
    from plgg.report.evaluation import write_evaluation_page

    cases = Store(truth).manifest_cases() if is_store(truth) else read_manifest_with_warnings(truth)
    folder = out or predictions / "evaluation"
    require_free(folder, EVALUATION, inputs=[truth])
    with scan_limit(scan_gib), watch.task("evaluating") as progress:
        found = evaluate_predictions(
            predictions,
            cases,
            out=folder,
            seed=seed,
            scorer_of=_scorer_of,
            workers=workers,
            progress=progress,
        )
    write_evaluation_page(folder)
    return found


def _scorer_of(kind: str) -> Scorer | None:
    """Find the scorer of a kind of task; imports torch, so it is called only if there are tasks."""
    from plgg.tasks.kinds import find_scorer

    return find_scorer(kind)


def compare(
    a: Path,
    b: Path | None = None,
    *,
    metric: str = "dice",
    seed: int = 0,
    baseline: str | None = None,
    aim: PowerTarget | None = None,
) -> Comparison | ExperimentComparison:
    """Compare two sets of results by patient, or the arms of one experiment or CSV table.

    Args:
        a: Results, an experiment or a table.
        b: Results to compare with.
        metric: Column of `cases.csv`, of a task `TASK:METRIC`, such as `age_years:mae`.
        seed: Seed of the bootstrap.
        baseline: Of an experiment, the arm that the others are compared with.
        aim: Gain and power of the power analysis.

    Raises:
        PlggError: If what is named cannot be compared.

    Example:
        >>> single = config.model_copy(update={"arm": "single"})
        >>> _ = api.train(folder / "store", folder / "single", single)
        >>> tests = [folder / run / "evaluation" / "test" for run in ("single", "run")]
        >>> api.compare(*tests).contrasts[0].metric
        'dice'
    """
    if baseline is not None and (b is not None or not a.is_dir()):
        raise ConfigError(
            "--baseline goes with an experiment alone",
            where=a,
            remedy="Leave it out: results are compared with the first, a table's arms as well.",
        )
    if b is None and a.is_dir() and metric != "dice":
        raise ConfigError(
            f"an experiment is compared by Dice, not by {metric}",
            where="--metric",
            remedy=f"Name two of its arms: plgg compare {a}:ARM {a}:ARM --metric {metric}.",
        )
    from plgg.evaluate.compare.contrast import compare_results
    from plgg.evaluate.compare.experiment import compare_experiment
    from plgg.evaluate.compare.table import compare_table

    if b is not None:
        return compare_results(a, b, metric=metric, seed=seed, aim=aim)
    if a.is_dir():
        return compare_experiment(a, seed=seed, baseline=baseline, aim=aim)
    return compare_table(a, metric=metric, aim=aim)
