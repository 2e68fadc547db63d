"""All jobs of an experiment, the selection of a grid point, tables and report."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.core.files import write_json
from plgg.core.output import EXPERIMENT, output_folder
from plgg.core.progress import Watch
from plgg.data.experiment_folder import Choice, arm_folder, read_failure, run_of, write_experiment
from plgg.data.split import splits_with_equal_tests
from plgg.evaluate.compare.experiment import (
    DICE,
    compare_experiment,
    mean_over_patients,
    repeated_tests,
)
from plgg.evaluate.compare.results import read_scores
from plgg.experiment.on_ray import run_on_ray
from plgg.experiment.plan import Job, Plan, begin, jobs
from plgg.experiment.run_job import attempt, is_finished
from plgg.report.comparison import write_comparison, write_table1
from plgg.report.experiment.page import write_experiment_report


def choose(plan: Plan, jobs: Sequence[Job]) -> None:
    """Write `choice.json` for every split, arm and seed whose points are finished or failed."""
    for key in dict.fromkeys((job.k, job.arm, job.seed) for job in jobs if job.point):
        mine = [job for job in jobs if (job.k, job.arm, job.seed) == key]
        finished = [job for job in mine if is_finished(job, plan.store)]
        failed = [job for job in mine if job not in finished and read_failure(job.run)]
        if not finished or len(finished) + len(failed) < len(mine):
            continue
        scores = {job.point: _validation_dice(job) if job in finished else None for job in mine}
        best = max(finished, key=lambda job: _or_least(scores[job.point]))
        choice = Choice(point=best.point, scores=scores)
        write_json(arm_folder(plan.out, *key) / "choice.json", choice.model_dump(mode="json"))


def _validation_dice(job: Job) -> float | None:
    return mean_over_patients(read_scores(job.run / "evaluation" / "validation", DICE))


def _or_least(value: float | None) -> float:
    return -math.inf if value is None else value


@dataclass(frozen=True)
class ExperimentOutcome:
    """The outcome of an experiment.

    Attributes:
        report: Path of the report; None where nothing is evaluated yet.
        failed: Reason of each failed run, by name.
    """

    report: Path | None
    failed: dict[str, str]


def run_experiment(plan: Plan, watch: Watch) -> ExperimentOutcome:
    """Execute all runs that are not finished, and write tables and report.

    Raises:
        ConfigError: If an arm or a point of the grid does not fit.
        RunError: If the folder holds another experiment.
        OutputError: If another process runs it, or something else is in its place.
    """
    with output_folder(plan.out, EXPERIMENT):
        return _run(plan, watch)


def _run(plan: Plan, watch: Watch) -> ExperimentOutcome:
    started = time.monotonic()
    splits = [plan.split(k) for k in range(plan.n_splits)]
    for group in splits_with_equal_tests(splits, plan.store.cohort.cases):
        watch.say(repeated_tests(group))
    wanted = list(jobs(plan))
    record = begin(plan)
    try:
        failed = _work(plan, [job for job in wanted if not is_finished(job, plan.store)], watch)
        choose(plan, wanted)
    finally:
        # The time of an interrupted command counts, too.
        spent = round(record.seconds + time.monotonic() - started, 1)
        write_experiment(plan.out, record.model_copy(update={"seconds": spent}))
    runs = [run_of(plan.out, job.k, job.arm, job.seed) for job in wanted]
    if not any((run / "evaluation" / "test").is_dir() for run in runs):
        return ExperimentOutcome(None, failed)
    watch.say("comparing and drawing the report")
    comparison = compare_experiment(plan.out, seed=plan.config.seed)
    write_comparison(plan.out / "comparison.json", comparison)
    write_table1(plan.out, comparison)
    return ExperimentOutcome(write_experiment_report(plan.out, store=plan.store.folder), failed)


def _work(plan: Plan, wanted: Sequence[Job], watch: Watch) -> dict[str, str]:
    """Execute the runs; return the reasons of those that failed."""
    failed = (_locally if plan.workers.kind == "local" else _by_ray)(plan, wanted, watch)
    for name, reason in failed.items():
        watch.say(f"{name} failed: {reason}")
    return failed


def _locally(plan: Plan, wanted: Sequence[Job], watch: Watch) -> dict[str, str]:
    retries = plan.workers.retries
    reasons = {
        job.name: attempt(job, plan.store, plan.split(job.k), watch, retries=retries)
        for job in wanted
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _by_ray(plan: Plan, wanted: Sequence[Job], watch: Watch) -> dict[str, str]:
    reasons: dict[str, str | None] = {}
    if not wanted:
        return {}
    with watch.task(f"{len(wanted)} runs") as progress:

        def told(job: Job, reason: str | None) -> None:
            reasons[job.name] = reason
            n_failed = sum(found is not None for found in reasons.values())
            progress(len(reasons), len(wanted), failed=n_failed)

        pairs = [(job, plan.split(job.k)) for job in wanted]
        run_on_ray(pairs, plan.store.folder, plan.out, plan.workers, told)
    return {name: reason for name, reason in reasons.items() if reason is not None}
